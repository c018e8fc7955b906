"""What to deploy: latency, throughput, memory and accuracy of models and baselines, measured side by side."""
