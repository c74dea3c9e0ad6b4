"""Compares Winnow's logits with transformers' in float32, and a converted folder's weights with the GGUF file's.

  python3 Tools/compare-engines.py --winnow .build/release/winnow --gguf MODEL.gguf --folder HF_FOLDER --text FILE

HF_FOLDER is what `winnow convert --to hf` made of MODEL.gguf. Prints the largest difference of a logit over all
positions, and for each tensor kind whether its bits are those that the gguf package expands.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import gguf
import numpy
import safetensors.numpy
import torch
import transformers


def winnow_logits(winnow, model, text):
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/logits.safetensors"
        subprocess.run(
            [winnow, "logits", "--model", model, "--file", text, "--activations", "exact", "--kv-type", "f32",
             "--output", out, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        tensors = safetensors.numpy.load_file(out)
        return tensors["ids"], tensors["logits"]


def rows_as_hugging_face(array, heads):
    width = array.shape[0] // heads // 2
    return array.reshape(heads, width, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def compare_weights(path, folder):
    reader = gguf.GGUFReader(path)
    config = json.loads(pathlib.Path(folder, "config.json").read_text())
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    different = 0
    seen = 0
    expected = {tensor.name: tensor for tensor in reader.tensors}
    for name, parameter in model.named_parameters():
        stem, _, suffix = name.rpartition(".")
        tensor = expected.pop(names.get_name(stem) + "." + suffix)
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        for key, count in heads.items():
            if key in tensor.name:
                values = rows_as_hugging_face(values, count)
        same = numpy.array_equal(values.astype(numpy.float32), parameter.detach().numpy())
        seen += 1
        if not same:
            different += 1
            worst = numpy.abs(values - parameter.detach().numpy()).max()
            print(f"  {name}: differs by {worst:.3g}")
    print(f"weights: {seen} tensors compared, {different} with other bits, {len(expected)} of the file not in the folder")
    return model


def main():
    options = argparse.ArgumentParser()
    for name in ["winnow", "gguf", "folder", "text"]:
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--also", action="append", default=[], help="further models of the same weights")
    given = options.parse_args()
    model = compare_weights(given.gguf, given.folder)
    ids, _ = winnow_logits(given.winnow, given.gguf, given.text)
    with torch.no_grad():
        theirs = model(torch.tensor(ids[None], dtype=torch.long)).logits[0].numpy()
    for path in [given.gguf, given.folder, *given.also]:
        _, ours = winnow_logits(given.winnow, path, given.text)
        difference = numpy.abs(ours - theirs)
        print(f"{path}: {len(ids)} positions, largest difference {difference.max():.3g}, mean {difference.mean():.3g},"
              f" best token equal at {(ours.argmax(1) == theirs.argmax(1)).sum()}")


main()
