"""What a project keeps."""
