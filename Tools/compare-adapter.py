#!/usr/bin/env python3
"""Opens an adapter that winnow trained in PEFT, and compares base + adapter with what 'winnow merge' made of both.

    winnow finetune --model BASE --text T --adapter-rank 8 --output RUN
    winnow merge --model BASE --adapter RUN/adapter --output MERGED
    python Tools/compare-adapter.py BASE RUN/adapter MERGED

Needs torch, transformers and peft.
"""
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main(base, adapter, merged):
    ids = torch.randint(3, 60, (1, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        plain = model(ids).logits
        adapted = PeftModel.from_pretrained(model, adapter).eval()(ids).logits
        whole = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32).eval()(ids).logits
    print(f"the adapter moves logits by up to {(adapted - plain).abs().max():.4f}; "
          f"merged weights differ from PEFT by up to {(adapted - whole).abs().max():.2e}")
    assert (adapted - plain).abs().max() > 1e-3 and torch.allclose(adapted, whole, atol=2e-4)


main(*sys.argv[1:4])
