"""The loop as Prefect flows: the only code that knows Prefect.

build      pinned data -> valid -> prepared -> trained candidates -> challenger
evaluate   challenger against champion on the holdout -> decision
deploy     decision -> aliases move -> the champion answers
optimise   what the champion met since -> what the next turn should learn
lifecycle  the four in this order
"""
