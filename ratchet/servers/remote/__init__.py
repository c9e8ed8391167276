"""Servers that others run: PostgreSQL, S3; do they answer?"""
