/**
 * Well-known open models without experts, one a line: names (the first is the one shown) | published parameter count | the repository
 * whose `config.json` gives the shape | architecture as llama.cpp names it | shape (the keys are those of `ModelShape`).
 * Models of one shape are one line. `heads` is query heads / key-value heads × head length.
 */
export const DENSE_MODELS = `
qwen2.5-0.5b | 494032768 | Qwen/Qwen2.5-0.5B-Instruct | qwen2 | layers=24 hidden=896 heads=14/2x64 ffn=4864 vocab=151936 context=32768 tied
qwen2.5-1.5b qwen2.5-coder-1.5b deepseek-r1-distill-qwen-1.5b | 1543714304 | Qwen/Qwen2.5-1.5B-Instruct | qwen2 | layers=28 hidden=1536 heads=12/2x128 ffn=8960 vocab=151936 context=32768 tied
qwen2.5-3b qwen2.5-coder-3b | 3085938688 | Qwen/Qwen2.5-3B-Instruct | qwen2 | layers=36 hidden=2048 heads=16/2x128 ffn=11008 vocab=151936 context=32768 tied
qwen2.5-7b qwen2.5-coder-7b deepseek-r1-distill-qwen-7b | 7615616512 | Qwen/Qwen2.5-7B-Instruct | qwen2 | layers=28 hidden=3584 heads=28/4x128 ffn=18944 vocab=152064 context=32768
qwen2.5-14b qwen2.5-coder-14b deepseek-r1-distill-qwen-14b | 14770033664 | Qwen/Qwen2.5-14B-Instruct | qwen2 | layers=48 hidden=5120 heads=40/8x128 ffn=13824 vocab=152064 context=32768
qwen2.5-32b qwen2.5-coder-32b qwq-32b deepseek-r1-distill-qwen-32b | 32763876352 | Qwen/Qwen2.5-32B-Instruct | qwen2 | layers=64 hidden=5120 heads=40/8x128 ffn=27648 vocab=152064 context=32768
qwen2.5-72b | 72706203648 | Qwen/Qwen2.5-72B-Instruct | qwen2 | layers=80 hidden=8192 heads=64/8x128 ffn=29568 vocab=152064 context=32768
qwen3-0.6b | 596049920 | Qwen/Qwen3-0.6B | qwen3 | layers=28 hidden=1024 heads=16/8x128 ffn=3072 vocab=151936 context=40960 tied
qwen3-1.7b | 1720574976 | Qwen/Qwen3-1.7B | qwen3 | layers=28 hidden=2048 heads=16/8x128 ffn=6144 vocab=151936 context=40960 tied
qwen3-4b | 4022468096 | Qwen/Qwen3-4B | qwen3 | layers=36 hidden=2560 heads=32/8x128 ffn=9728 vocab=151936 context=40960 tied
qwen3-8b deepseek-r1-0528-qwen3-8b | 8190735360 | Qwen/Qwen3-8B | qwen3 | layers=36 hidden=4096 heads=32/8x128 ffn=12288 vocab=151936 context=40960
qwen3-14b | 14768307200 | Qwen/Qwen3-14B | qwen3 | layers=40 hidden=5120 heads=40/8x128 ffn=17408 vocab=151936 context=40960
qwen3-32b | 32762123264 | Qwen/Qwen3-32B | qwen3 | layers=64 hidden=5120 heads=64/8x128 ffn=25600 vocab=151936 context=40960
tinyllama-1.1b | 1100048384 | TinyLlama/TinyLlama-1.1B-Chat-v1.0 | llama | layers=22 hidden=2048 heads=32/4x64 ffn=5632 vocab=32000 context=2048
llama-3.2-1b | 1235814400 | meta-llama/Llama-3.2-1B-Instruct | llama | layers=16 hidden=2048 heads=32/8x64 ffn=8192 vocab=128256 context=131072 tied
llama-3.2-3b hermes-3-llama-3.2-3b | 3212749824 | meta-llama/Llama-3.2-3B-Instruct | llama | layers=28 hidden=3072 heads=24/8x128 ffn=8192 vocab=128256 context=131072 tied
llama-3.1-8b hermes-3-llama-3.1-8b deepseek-r1-distill-llama-8b | 8030261248 | meta-llama/Llama-3.1-8B-Instruct | llama | layers=32 hidden=4096 heads=32/8x128 ffn=14336 vocab=128256 context=131072
llama-3.3-70b llama-3.1-70b hermes-4-70b deepseek-r1-distill-llama-70b | 70553706496 | meta-llama/Llama-3.3-70B-Instruct | llama | layers=80 hidden=8192 heads=64/8x128 ffn=28672 vocab=128256 context=131072
llama-3.1-405b hermes-4-405b | 405853388800 | meta-llama/Llama-3.1-405B-Instruct | llama | layers=126 hidden=16384 heads=128/8x128 ffn=53248 vocab=128256 context=131072
llama-2-7b | 6738415616 | meta-llama/Llama-2-7b-chat-hf | llama | layers=32 hidden=4096 heads=32/32x128 ffn=11008 vocab=32000 context=4096
llama-2-13b | 13015864320 | meta-llama/Llama-2-13b-chat-hf | llama | layers=40 hidden=5120 heads=40/40x128 ffn=13824 vocab=32000 context=4096
llama-2-70b | 68976648192 | meta-llama/Llama-2-70b-chat-hf | llama | layers=80 hidden=8192 heads=64/8x128 ffn=28672 vocab=32000 context=4096
mistral-7b | 7248023552 | mistralai/Mistral-7B-Instruct-v0.3 | llama | layers=32 hidden=4096 heads=32/8x128 ffn=14336 vocab=32768 context=32768
ministral-8b | 8019808256 | mistralai/Ministral-8B-Instruct-2410 | llama | layers=36 hidden=4096 heads=32/8x128 ffn=12288 vocab=131072 context=32768
mistral-nemo-12b | 12247782400 | mistralai/Mistral-Nemo-Instruct-2407 | llama | layers=40 hidden=5120 heads=32/8x128 ffn=14336 vocab=131072 context=131072
mistral-small-22b codestral-22b | 22247282688 | mistralai/Mistral-Small-Instruct-2409 | llama | layers=56 hidden=6144 heads=48/8x128 ffn=16384 vocab=32768 context=32768
mistral-small-24b mistral-small-3.2-24b devstral-small-24b magistral-small-24b | 23572403200 | mistralai/Mistral-Small-3.2-24B-Instruct-2506 | llama | layers=40 hidden=5120 heads=32/8x128 ffn=32768 vocab=131072 context=131072
mistral-large-123b | 122610069504 | mistralai/Mistral-Large-Instruct-2411 | llama | layers=88 hidden=12288 heads=96/8x128 ffn=28672 vocab=32768 context=131072
gemma-2-2b | 2614341888 | google/gemma-2-2b-it | gemma2 | layers=26 hidden=2304 heads=8/4x256 ffn=9216 vocab=256000 context=8192 window=4096 tied
gemma-2-9b | 9241705984 | google/gemma-2-9b-it | gemma2 | layers=42 hidden=3584 heads=16/8x256 ffn=14336 vocab=256000 context=8192 window=4096 tied
gemma-2-27b | 27227128320 | google/gemma-2-27b-it | gemma2 | layers=46 hidden=4608 heads=32/16x128 ffn=36864 vocab=256000 context=8192 window=4096 tied
gemma-3-1b | 999885952 | google/gemma-3-1b-it | gemma3 | layers=26 hidden=1152 heads=4/1x256 ffn=6912 vocab=262144 context=32768 window=512 tied
gemma-3-4b | 3880099328 | google/gemma-3-4b-it | gemma3 | layers=34 hidden=2560 heads=8/4x256 ffn=10240 vocab=262208 context=131072 window=1024 tied
gemma-3-12b | 11765788416 | google/gemma-3-12b-it | gemma3 | layers=48 hidden=3840 heads=16/8x256 ffn=15360 vocab=262208 context=131072 window=1024 tied
gemma-3-27b | 27009002240 | google/gemma-3-27b-it | gemma3 | layers=62 hidden=5376 heads=32/16x128 ffn=21504 vocab=262208 context=131072 window=1024 tied
phi-3.5-mini phi-3-mini | 3821079552 | microsoft/Phi-3.5-mini-instruct | phi3 | layers=32 hidden=3072 heads=32/32x96 ffn=8192 vocab=32064 context=131072 fused gated-up
phi-3-medium | 13960238080 | microsoft/Phi-3-medium-128k-instruct | phi3 | layers=40 hidden=5120 heads=40/10x128 ffn=17920 vocab=32064 context=131072 fused gated-up
phi-4 phi-4-reasoning | 14659507200 | microsoft/phi-4 | phi3 | layers=40 hidden=5120 heads=40/10x128 ffn=17920 vocab=100352 context=16384 fused gated-up
phi-4-mini | 3836021760 | microsoft/Phi-4-mini-instruct | phi3 | layers=32 hidden=3072 heads=24/8x128 ffn=8192 vocab=200064 context=131072 fused gated-up tied
command-r7b | 8028033024 | CohereLabs/c4ai-command-r7b-12-2024 | cohere2 | layers=32 hidden=4096 heads=32/8x128 ffn=14336 vocab=256000 context=132096 window=4096 tied
command-r-32b | 32296476672 | CohereLabs/c4ai-command-r-08-2024 | command-r | layers=40 hidden=8192 heads=64/8x128 ffn=24576 vocab=256000 context=131072 tied
command-r-plus-104b | 103810674688 | CohereLabs/c4ai-command-r-plus-08-2024 | command-r | layers=64 hidden=12288 heads=96/8x128 ffn=33792 vocab=256000 context=131072 tied
command-a-111b | 111057580032 | CohereLabs/c4ai-command-a-03-2025 | cohere2 | layers=64 hidden=12288 heads=96/8x128 ffn=36864 vocab=256000 context=131072 window=4096 tied
granite-3.3-2b | 2533531648 | ibm-granite/granite-3.3-2b-instruct | granite | layers=40 hidden=2048 heads=32/8x64 ffn=8192 vocab=49159 context=131072 tied
granite-3.3-8b | 8170848256 | ibm-granite/granite-3.3-8b-instruct | granite | layers=40 hidden=4096 heads=32/8x128 ffn=12800 vocab=49159 context=131072 tied
granite-4.0-h-micro | 3190000000 | ibm-granite/granite-4.0-h-micro | granitehybrid | layers=40 hidden=2048 heads=32/8x64 ffn=8192 vocab=100352 context=131072 blocks=RRRRRARRRR ssm=4096/128/64/1/4 tied
nemotron-nano-9b-v2 | 8888227328 | nvidia/NVIDIA-Nemotron-Nano-9B-v2 | nemotron_h | layers=56 hidden=4480 heads=40/8x128 ffn=15680 vocab=131072 context=131072 blocks=M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M- ssm=10240/128/128/8/4 plain
olmo-2-1b | 1484916736 | allenai/OLMo-2-0425-1B-Instruct | olmo2 | layers=16 hidden=2048 heads=16/16x128 ffn=8192 vocab=100352 context=4096
olmo-2-7b | 7298617344 | allenai/OLMo-2-1124-7B-Instruct | olmo2 | layers=32 hidden=4096 heads=32/32x128 ffn=11008 vocab=100352 context=4096
olmo-2-13b | 13716198400 | allenai/OLMo-2-1124-13B-Instruct | olmo2 | layers=40 hidden=5120 heads=40/40x128 ffn=13824 vocab=100352 context=4096
olmo-2-32b | 32234279936 | allenai/OLMo-2-0325-32B-Instruct | olmo2 | layers=64 hidden=5120 heads=40/8x128 ffn=27648 vocab=100352 context=4096
smollm2-1.7b | 1711376384 | HuggingFaceTB/SmolLM2-1.7B-Instruct | llama | layers=24 hidden=2048 heads=32/32x64 ffn=8192 vocab=49152 context=8192 tied
smollm3-3b | 3075098624 | HuggingFaceTB/SmolLM3-3B | smollm3 | layers=36 hidden=2048 heads=16/4x128 ffn=11008 vocab=128256 context=65536 tied
falcon3-7b | 7455550464 | tiiuae/Falcon3-7B-Instruct | llama | layers=28 hidden=3072 heads=12/4x256 ffn=23040 vocab=131072 context=32768
falcon3-10b | 10305653760 | tiiuae/Falcon3-10B-Instruct | llama | layers=40 hidden=3072 heads=12/4x256 ffn=23040 vocab=131072 context=32768
yi-1.5-9b | 8829407232 | 01-ai/Yi-1.5-9B-Chat | llama | layers=48 hidden=4096 heads=32/4x128 ffn=11008 vocab=64000 context=4096
yi-1.5-34b | 34388917248 | 01-ai/Yi-1.5-34B-Chat | llama | layers=60 hidden=7168 heads=56/8x128 ffn=20480 vocab=64000 context=4096
glm-4-9b | 9400279040 | zai-org/GLM-4-9B-0414 | glm4 | layers=40 hidden=4096 heads=32/2x128 ffn=13696 vocab=151552 context=32768 gated-up
glm-4-32b | 32566149120 | zai-org/GLM-4-32B-0414 | glm4 | layers=61 hidden=6144 heads=48/2x128 ffn=23040 vocab=151552 context=32768 gated-up
seed-oss-36b | 36151104512 | ByteDance-Seed/Seed-OSS-36B-Instruct | seed_oss | layers=64 hidden=5120 heads=80/8x128 ffn=27648 vocab=155136 context=524288
exaone-4.0-32b | 32003200000 | LGAI-EXAONE/EXAONE-4.0-32B | exaone4 | layers=64 hidden=5120 heads=40/8x128 ffn=27392 vocab=102400 context=131072 window=4096
apertus-8b | 8053338240 | swiss-ai/Apertus-8B-Instruct-2509 | apertus | layers=32 hidden=4096 heads=32/8x128 ffn=21504 vocab=131072 context=65536 plain
apertus-70b | 70600000000 | swiss-ai/Apertus-70B-Instruct-2509 | apertus | layers=80 hidden=8192 heads=64/8x128 ffn=43008 vocab=131072 context=65536 plain
starcoder2-15b | 15957889024 | bigcode/starcoder2-15b-instruct-v0.1 | starcoder2 | layers=40 hidden=6144 heads=48/4x128 ffn=24576 vocab=49152 context=16384 plain
`;
