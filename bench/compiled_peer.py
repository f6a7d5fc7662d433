"""A peer whose models are compiled: compiled_peer.py PEER.py ARGUMENTS... runs the peer as it is, but
every causal language model that it loads, and every copy of one, goes through torch.compile."""
import copy
import runpy
import sys

import torch
from transformers import AutoModelForCausalLM

load, copy_of = AutoModelForCausalLM.from_pretrained, copy.deepcopy


def compiled(model):
    # In place: what the peer calls stays the model. A batch has one shape, so none is dynamic.
    model.compile(dynamic=False)
    return model


def compiled_copy(value, *arguments):
    result = copy_of(value, *arguments)
    return compiled(result) if isinstance(value, torch.nn.Module) else result


AutoModelForCausalLM.from_pretrained = lambda *a, **k: compiled(load(*a, **k))
copy.deepcopy = compiled_copy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
