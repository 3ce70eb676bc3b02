import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Page } from "../../src/view.ts";
import { approve } from "../live.ts";

/** Machines that ask to be let in. */
export function Pending({ pending }: { readonly pending: Page["pending"] }): JSX.Element | null {
  const said = useSignal("");
  if (pending.length === 0 && said.value === "") return null;
  const letIn = async (code: string): Promise<void> => {
    said.value = "…";
    said.value = await approve(code).catch(() => "This node does not answer.");
  };
  return (
    <section aria-labelledby="pending">
      <h2 id="pending">Waiting to be let in</h2>
      <ul class="pending">
        {pending.map((machine) => (
          <li key={machine.node} class="card row">
            <span class="code">{machine.code}</span>
            <span>
              <strong>{machine.name}</strong> <span class="quiet">{machine.address}</span>
            </span>
            <button
              type="button"
              onClick={() => void letIn(machine.code)}
              aria-label={`Approve ${machine.name}, code ${machine.code}`}
            >
              Approve
            </button>
          </li>
        ))}
      </ul>
      {pending.length > 0 && <p class="quiet">Approve only if the other screen shows the same code.</p>}
      <p role="status">{said.value}</p>
    </section>
  );
}
