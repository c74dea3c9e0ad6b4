"""Times Wanda and SparseGPT in PyTorch on the folder that `winnow convert --to hf` wrote, block by block as their papers do:
what `winnow prune` is compared with.

  python3 Tools/compare-pruning.py --folder HF_FOLDER --text FILE.jsonl --method wanda|sparsegpt [--samples 128]

Float32, eager attention by SDPA, all threads that torch takes. Prints seconds and the peak of memory.
"""

import argparse
import json
import resource
import time

import torch
import transformers


def sparsegpt(weight, gram, sparsity, block=128, damping=0.01):
    """Frantar and Alistarh, arXiv 2301.00774, algorithm 1, with the inverse's Cholesky factor made once."""
    w, h = weight.clone(), gram.clone()
    dead = torch.diag(h) == 0
    h[dead, dead] = 1
    w[:, dead] = 0
    h += torch.eye(len(h)) * damping * torch.diag(h).mean()
    u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    for start in range(0, w.shape[1], block):
        end = min(start + block, w.shape[1])
        part, factor = w[:, start:end].clone(), u[start:end, start:end]
        score = part**2 / torch.diag(factor) ** 2
        pruned = score <= score.flatten().kthvalue(int(score.numel() * sparsity)).values
        errors = torch.zeros_like(part)
        for i in range(end - start):
            kept = part[:, i].clone()
            kept[pruned[:, i]] = 0
            errors[:, i] = (part[:, i] - kept) / factor[i, i]
            part[:, i:] -= errors[:, i : i + 1] @ factor[i : i + 1, i:]
            part[:, i] = kept
        w[:, start:end] = part
        w[:, end:] -= errors @ u[start:end, end:]
    return w


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--method", choices=["wanda", "sparsegpt"], required=True)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--sparsity", type=float, default=0.5)
    options = parser.parse_args()
    model = transformers.AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.folder)
    with open(options.text) as file:
        text = "\n\n".join(json.loads(line)["text"] for line in file)
    ids = torch.tensor(tokenizer(text)["input_ids"])
    windows = ids[: options.samples * options.length].view(options.samples, options.length)
    start = time.time()
    with torch.no_grad():
        states = list(model.model.embed_tokens(windows).split(8))
        positions = model.model.rotary_emb(states[0], torch.arange(options.length)[None])
        for layer in model.model.layers:
            linears = [m for m in layer.modules() if isinstance(m, torch.nn.Linear)]
            seen = {}

            def observe(module, inputs, _):
                x = inputs[0].reshape(-1, inputs[0].shape[-1])
                found = x.T @ x if options.method == "sparsegpt" else (x**2).sum(0)
                seen[module] = seen.get(module, 0) + found

            hooks = [m.register_forward_hook(observe) for m in linears]
            for x in states:
                layer(x, position_embeddings=positions)
            for hook in hooks:
                hook.remove()
            for m in linears:
                if options.method == "sparsegpt":
                    m.weight.copy_(sparsegpt(m.weight, seen[m], options.sparsity))
                else:
                    score = m.weight.abs() * seen[m].sqrt()
                    order = score.argsort(dim=1)[:, : int(m.in_features * options.sparsity)]
                    m.weight.scatter_(1, order, 0)
            def output(x):
                y = layer(x, position_embeddings=positions)
                return y[0] if isinstance(y, tuple) else y
            states = [output(x) for x in states]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.method}: {time.time() - start:.1f} s, peak {peak:.0f} MiB, {torch.get_num_threads()} threads")


main()
