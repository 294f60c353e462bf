"""A unit that only the tests have: COPY, which copies words of device memory."""
