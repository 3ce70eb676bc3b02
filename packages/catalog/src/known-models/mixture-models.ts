/** Well-known open mixtures of experts; the columns are those of `DENSE_MODELS`. `experts` is all / used per token × width of one. */
export const MIXTURE_MODELS = `
qwen3-30b-a3b qwen3-coder-30b-a3b | 30532122624 | Qwen/Qwen3-30B-A3B-Instruct-2507 | qwen3moe | layers=48 hidden=2048 heads=32/4x128 vocab=151936 context=262144 experts=128/8x768
qwen3-235b-a22b | 235093634560 | Qwen/Qwen3-235B-A22B-Instruct-2507 | qwen3moe | layers=94 hidden=4096 heads=64/4x128 vocab=151936 context=262144 experts=128/8x1536
qwen3-coder-480b-a35b | 480154875392 | Qwen/Qwen3-Coder-480B-A35B-Instruct | qwen3moe | layers=62 hidden=6144 heads=96/8x128 vocab=151936 context=262144 experts=160/8x2560
qwen3-next-80b-a3b | 79674391296 | Qwen/Qwen3-Next-80B-A3B-Instruct | qwen3next | layers=48 hidden=2048 heads=16/2x256 vocab=151936 context=262144 experts=512/10x512 shared=512 blocks=RRRA ssm=4096/128/32/16/4 gated-attention
qwen2-57b-a14b | 57409011200 | Qwen/Qwen2-57B-A14B-Instruct | qwen2moe | layers=28 hidden=3584 heads=28/4x128 vocab=151936 context=32768 experts=64/8x2560 shared=20480
llama-4-scout-109b-a17b | 107769937920 | meta-llama/Llama-4-Scout-17B-16E-Instruct | llama4 | layers=48 hidden=5120 heads=40/8x128 vocab=202048 context=10485760 experts=16/1x8192 shared=8192
llama-4-maverick-400b-a17b | 400000000000 | meta-llama/Llama-4-Maverick-17B-128E-Instruct | llama4 | layers=48 hidden=5120 heads=40/8x128 ffn=16384 vocab=202048 context=1048576 experts=128/1x8192 shared=8192 every=2
mixtral-8x7b nous-hermes-2-mixtral-8x7b | 46702792704 | mistralai/Mixtral-8x7B-Instruct-v0.1 | llama | layers=32 hidden=4096 heads=32/8x128 vocab=32000 context=32768 experts=8/2x14336
mixtral-8x22b wizardlm-2-8x22b | 140630071296 | mistralai/Mixtral-8x22B-Instruct-v0.1 | llama | layers=56 hidden=6144 heads=48/8x128 vocab=32768 context=65536 experts=8/2x16384
phi-3.5-moe-42b-a6.6b | 41873153344 | microsoft/Phi-3.5-MoE-instruct | phimoe | layers=32 hidden=4096 heads=32/8x128 vocab=32064 context=131072 experts=16/2x6400
gpt-oss-20b | 20914757184 | openai/gpt-oss-20b | gpt-oss | layers=24 hidden=2880 heads=64/8x64 vocab=201088 context=131072 window=128 experts=32/4x2880 only=MXFP4
gpt-oss-120b | 116829156672 | openai/gpt-oss-120b | gpt-oss | layers=36 hidden=2880 heads=64/8x64 vocab=201088 context=131072 window=128 experts=128/4x2880 only=MXFP4
deepseek-v2-lite deepseek-coder-v2-lite | 15706484224 | deepseek-ai/DeepSeek-V2-Lite-Chat | deepseek2 | layers=27 hidden=2048 heads=16/16x128 ffn=10944 vocab=102400 context=163840 experts=64/6x1408 shared=2816 dense=1 mla=0/512/128/64/128
deepseek-v2 deepseek-v2.5 deepseek-coder-v2 | 235741434880 | deepseek-ai/DeepSeek-V2.5 | deepseek2 | layers=60 hidden=5120 heads=128/128x128 ffn=12288 vocab=102400 context=163840 experts=160/6x1536 shared=3072 dense=1 mla=1536/512/128/64/128
deepseek-v3 deepseek-r1 deepseek-v3-0324 deepseek-r1-0528 deepseek-v3.1 | 671026419200 | deepseek-ai/DeepSeek-V3 | deepseek2 | layers=61 hidden=7168 heads=128/128x128 ffn=18432 vocab=129280 context=163840 experts=256/8x2048 shared=2048 dense=3 mla=1536/512/128/64/128
kimi-k2 kimi-k2-instruct | 1026408232448 | moonshotai/Kimi-K2-Instruct | deepseek2 | layers=61 hidden=7168 heads=64/64x128 ffn=18432 vocab=163840 context=131072 experts=384/8x2048 shared=2048 dense=1 mla=1536/512/128/64/128
moonlight-16b-a3b | 15960111936 | moonshotai/Moonlight-16B-A3B-Instruct | deepseek2 | layers=27 hidden=2048 heads=16/16x128 ffn=11264 vocab=163840 context=8192 experts=64/6x1408 shared=2816 dense=1 mla=0/512/128/64/128
glm-4.5-air | 110468824832 | zai-org/GLM-4.5-Air | glm4moe | layers=46 hidden=4096 heads=96/8x128 ffn=10944 vocab=151552 context=131072 experts=128/8x1408 shared=1408 dense=1 next=1
glm-4.6 glm-4.5 | 356785898816 | zai-org/GLM-4.6 | glm4moe | layers=92 hidden=5120 heads=96/8x128 ffn=12288 vocab=151552 context=202752 experts=160/8x1536 shared=1536 dense=3 next=1
minimax-m2 | 228703644928 | MiniMaxAI/MiniMax-M2 | minimax-m2 | layers=62 hidden=3072 heads=48/8x128 vocab=200064 context=196608 experts=256/8x1536
granite-4.0-h-tiny | 6939037248 | ibm-granite/granite-4.0-h-tiny | granitehybrid | layers=40 hidden=1536 heads=12/4x128 vocab=100352 context=131072 experts=64/6x512 shared=1024 blocks=RRRRRARRRR ssm=3072/128/48/1/4 tied
granite-4.0-h-small | 32207366400 | ibm-granite/granite-4.0-h-small | granitehybrid | layers=40 hidden=4096 heads=32/8x128 vocab=100352 context=131072 experts=72/10x768 shared=1536 blocks=RRRRRARRRR ssm=8192/128/128/1/4 tied
nemotron-3-nano-30b-a3b | 31577937344 | nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16 | nemotron_h_moe | layers=52 hidden=2688 heads=32/2x128 vocab=131072 context=262144 experts=128/6x1856 shared=3712 blocks=MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME ssm=4096/128/64/8/4 plain
olmoe-1b-7b | 6919161856 | allenai/OLMoE-1B-7B-0924-Instruct | olmoe | layers=16 hidden=2048 heads=16/16x128 vocab=50304 context=4096 experts=64/8x1024
hunyuan-a13b | 80393183232 | tencent/Hunyuan-A13B-Instruct | hunyuan-moe | layers=32 hidden=4096 heads=32/8x128 vocab=128167 context=262144 experts=64/8x3072 shared=3072 tied
ernie-4.5-21b-a3b | 21825437888 | baidu/ERNIE-4.5-21B-A3B-PT | ernie4_5-moe | layers=28 hidden=2560 heads=20/4x128 ffn=12288 vocab=103424 context=131072 experts=64/6x1536 shared=3072 dense=1 tied
ernie-4.5-300b-a47b | 300000000000 | baidu/ERNIE-4.5-300B-A47B-PT | ernie4_5-moe | layers=54 hidden=8192 heads=64/8x128 ffn=28672 vocab=103424 context=131072 experts=64/8x3584 dense=3
dots.llm1-142b-a14b | 142774381696 | rednote-hilab/dots.llm1.inst | dots1 | layers=62 hidden=4096 heads=32/32x128 ffn=10944 vocab=152064 context=32768 experts=128/6x1408 shared=2816 dense=1
ling-flash-2.0-103b-a6b ring-flash-2.0-103b-a6b | 103000000000 | inclusionAI/Ling-flash-2.0 | bailingmoe2 | layers=32 hidden=4096 heads=32/4x128 ffn=9216 vocab=157184 context=32768 experts=256/8x1024 shared=1024 dense=1 fused
grok-1-314b | 314000000000 | xai-org/grok-1 | grok | layers=64 hidden=6144 heads=48/8x128 vocab=131072 context=8192 experts=8/2x32768 tied
dbrx-132b | 131596523520 | databricks/dbrx-instruct | dbrx | layers=40 hidden=6144 heads=48/8x128 vocab=100352 context=32768 experts=16/4x10752 fused
`;
