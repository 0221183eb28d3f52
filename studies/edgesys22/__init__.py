"""Combining DNN Partitioning and Early Exit (EdgeSys 2022): its evaluation with networks trained here."""
