// What our checks of the RPC stream (packages/engine/src/rpc/) take for granted of this release. A build of another one stops here.
#include "ggml-rpc.h"
#include "ggml.h"

static_assert(RPC_PROTO_MAJOR_VERSION == 7 && RPC_PROTO_MINOR_VERSION == 0 && RPC_PROTO_PATCH_VERSION == 0, "protocol");
static_assert(GGML_MAX_DIMS == 4 && GGML_MAX_SRC == 10 && GGML_MAX_OP_PARAMS == 64 && GGML_MAX_NAME == 64, "layout of a tensor");
static_assert(GGML_TYPE_COUNT == 43 && GGML_OP_COUNT == 101, "tables of types and operators");
static_assert(GGML_OP_MAP_CUSTOM1 == 92 && GGML_OP_CUSTOM == 95, "operators that call a pointer");
static_assert(GGML_OP_NONE == 0, "no operator");
