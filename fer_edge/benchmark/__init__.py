"""What to deploy: latency, throughput, memory and accuracy of models and their rivals, measured side by side."""
