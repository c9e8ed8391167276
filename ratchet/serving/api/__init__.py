"""The routes that programs call: our own, MLflow's scoring protocol, the Open Inference Protocol."""
