"""What all models share: the names of the loss's terms."""

from diffenc.models.model import LossTerms
from diffenc.study.stages import TERMS


def test_the_terms_names_in_files_are_the_model_s():
    assert sorted(TERMS) == sorted(("total", *LossTerms._fields))
