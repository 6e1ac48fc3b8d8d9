output "bucket" {
  description = "For MLflow's artifacts and runs."
  value       = aws_s3_bucket.lockstep.bucket
}

output "database" {
  description = "Address and port of PostgreSQL."
  value       = aws_db_instance.lockstep.endpoint
}

output "database_secret" {
  description = "Where its password is kept."
  value       = aws_db_instance.lockstep.master_user_secret[0].secret_arn
}

output "namespace" {
  description = "Where the endpoint is."
  value       = kubernetes_namespace_v1.lockstep.metadata[0].name
}
