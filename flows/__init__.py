"""The loop as Prefect flows: the only code that knows Prefect.

build      pinned data -> valid -> prepared -> trained candidates -> challenger
evaluate   challenger against champion on the holdout -> decision
deploy     decision -> aliases move -> the champion answers
optimise   the champion's live traffic -> what the next turn should learn
lifecycle  the four in this order
"""
