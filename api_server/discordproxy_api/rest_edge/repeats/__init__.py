"""Requests that libraries repeat because they did not get an answer: none takes effect twice."""
