import { fc, test as property } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { parseDeviceList } from "./device-list.ts";

const GIB = 1024 ** 3;

describe("the engine's device list", () => {
  test("of a machine without a GPU is empty, whatever is logged around it", () => {
    const output = `0.00.000.615 I srv  llama_server: initializing ...
load_backend: loaded RPC backend from /opt/engine/libggml-rpc.so
load_backend: loaded CPU backend from /opt/engine/libggml-cpu-skylakex.so
Available devices:
  (none)
`;
    expect(parseDeviceList(output)).toEqual([]);
  });

  test("names CUDA cards in order", () => {
    const output = `ggml_cuda_init: found 2 CUDA devices:
  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: yes
Available devices:
  CUDA0: NVIDIA GeForce RTX 4090 (24576 MiB, 23500 MiB free)
  CUDA1: NVIDIA GeForce RTX 3060 (12288 MiB, 12000 MiB free)
`;
    expect(parseDeviceList(output)).toEqual([
      { id: "CUDA0", name: "NVIDIA GeForce RTX 4090", memoryBytes: 24 * GIB },
      { id: "CUDA1", name: "NVIDIA GeForce RTX 3060", memoryBytes: 12 * GIB },
    ]);
  });

  test("has Metal but not Accelerate, which is the processor", () => {
    const output =
      "Available devices:\n  MTL0: Apple M4 Pro (49152 MiB, 49151 MiB free)\n  BLAS: Accelerate (0 MiB, 0 MiB free)\n";
    expect(parseDeviceList(output)).toEqual([{ id: "MTL0", name: "Apple M4 Pro", memoryBytes: 48 * GIB }]);
  });

  test("keeps brackets in a Vulkan device's name", () => {
    const output = "Available devices:\r\n  Vulkan0: AMD Radeon 780M (RADV PHOENIX) (16384 MiB, 15872 MiB free)\r\n";
    expect(parseDeviceList(output)).toEqual([{ id: "Vulkan0", name: "AMD Radeon 780M (RADV PHOENIX)", memoryBytes: 16 * GIB }]);
  });

  property.prop([fc.string({ unit: "binary" })])("never throws on other text", (text) => {
    expect(Array.isArray(parseDeviceList(`Available devices:\n${text}`))).toBe(true);
  });
});
