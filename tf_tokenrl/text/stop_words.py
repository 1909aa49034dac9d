"""English stop words: articles, pronouns, prepositions, auxiliaries.

A short list of our own: function words only, no contractions, so that what
is removed never names a thing or an action. "no", "not" and "never" stay.
"""

_WORDS = """
a about above after again all also am among an and any are as at be
because been before being below between both but by can could did do does
doing down during each either few for from further had has have having he
her here hers herself him himself his how i if in into is it its itself
just may me might more most much must my myself of off on once only onto
or other our ours ourselves out over own same shall she should since so
some such than that the their theirs them themselves then there these
they this those though through thus to too under until up upon us very
was we were what when where whether which while who whom whose why will
with within would you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_WORDS.split())
