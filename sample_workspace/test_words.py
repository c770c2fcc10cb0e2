"""Tests of the counts of words: `python -m unittest`."""

import unittest

from words import most_common, words


class WordsTest(unittest.TestCase):
    def test_apostrophe_belongs_to_its_word(self) -> None:
        self.assertEqual(words("Don't stop, Ada!"), ["don't", "stop", "ada"])

    def test_most_common_words_come_first(self) -> None:
        self.assertEqual(most_common("a b a c a b", 2), [("a", 3), ("b", 2)])
