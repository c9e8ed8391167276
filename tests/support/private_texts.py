"""Texts with a mail address, a telephone number or a card's in them, and what may be kept of each."""

from __future__ import annotations

KNOWN = {
    "write to jo.b+x@mail.example.org.": "write to [mail].",
    "max@müller.de": "[mail]",
    "jürgen@example.de": "[mail]",
    "ju\u0308rgen@example.de": "[mail]",
    "иван@пример.рф пишет": "[mail] пишет",
    "我的邮箱是max_1@example.com谢谢": "我的邮箱是[mail]谢谢",
    "a%b@x-y.example": "[mail]",
    "+44 20 7946 0958": "[phone]",
    "+49 (171) 1234567!": "[phone]!",
    "tel (212) 555-0187.": "tel [phone].",
    "212.555.0187 or 212-555-0188": "[phone] or [phone]",
    "13812345678 13912345678": "[phone] [phone]",
    "call 0171 1234567": "call [phone]",
    "0171 1234567 0172 7654321": "[phone] [phone]",
    "(0171) 1234567, 020 7946 0958, 0711/123456": "[phone], [phone], [phone]",
    "pay 4111 1111 1111 1111 now": "pay [card] now",
    "4111-1111-1111-1111": "[card]",
    "4111 1111 1111 1111 12/27": "[card] 12/27",
    "order 23 4111111111111111": "order 23 [card]",
    "3782 822463 10005": "[card]",
    "378282246310005": "[card]",
    "41 11 11 11 11 11 11 11": "[card]",
    "2223 0000 4840 0011 and 6011 1111 1111 1117": "[card] and [card]",
    "4111111111111111 5555555555554444": "[card] [card]",
}
