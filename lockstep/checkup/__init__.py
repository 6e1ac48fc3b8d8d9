"""Try a scoring job on a sample before its first night, and say what to fix; nothing is published or claimed."""
