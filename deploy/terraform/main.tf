# An example on AWS: a bucket for runs and artifacts, a PostgreSQL for MLflow, Airflow and scores, and the endpoint's chart
# in a cluster that is there already. Formatted and read by tests; it was never planned or applied.

resource "aws_s3_bucket" "lockstep" {
  bucket_prefix = "${var.name}-"
}

resource "aws_s3_bucket_public_access_block" "lockstep" {
  bucket                  = aws_s3_bucket.lockstep.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "lockstep" {
  bucket = aws_s3_bucket.lockstep.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
    }
  }
}

resource "aws_s3_bucket_versioning" "lockstep" {
  bucket = aws_s3_bucket.lockstep.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "lockstep" {
  bucket = aws_s3_bucket.lockstep.id
  rule {
    id     = "old"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = var.expire_days
    }
    # What an executor that was killed had begun to upload.
    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

data "aws_iam_policy_document" "plain_http_is_refused" {
  statement {
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.lockstep.arn, "${aws_s3_bucket.lockstep.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "lockstep" {
  bucket = aws_s3_bucket.lockstep.id
  policy = data.aws_iam_policy_document.plain_http_is_refused.json
}

resource "aws_db_subnet_group" "lockstep" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_security_group" "database" {
  name_prefix = "${var.name}-database-"
  description = "Who may reach Lockstep's database"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id            = aws_security_group.database.id
  description                  = "Nodes of the cluster"
  referenced_security_group_id = var.cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_instance" "lockstep" {
  identifier     = var.name
  engine         = "postgres"
  engine_version = "17"
  instance_class = var.database_class
  db_name        = "lockstep"
  username       = "lockstep"
  # The password is made and kept by the cloud's store of secrets, and is not in Terraform's state.
  manage_master_user_password         = true
  iam_database_authentication_enabled = true
  allocated_storage                   = 50
  max_allocated_storage               = 500
  storage_encrypted                   = true
  multi_az                            = true
  publicly_accessible                 = false
  db_subnet_group_name                = aws_db_subnet_group.lockstep.name
  vpc_security_group_ids              = [aws_security_group.database.id]
  backup_retention_period             = 14
  copy_tags_to_snapshot               = true
  deletion_protection                 = true
  skip_final_snapshot                 = false
  final_snapshot_identifier           = "${var.name}-last"
  auto_minor_version_upgrade          = true
  performance_insights_enabled        = true
  enabled_cloudwatch_logs_exports     = ["postgresql"]
}

locals {
  # The chart calls the account as it is called itself, when that begins with its name.
  account       = "lockstep"
  oidc_provider = split("oidc-provider/", var.oidc_provider_arn)[1]
}

# The endpoint's account may read models and nothing else: pods get the role by their token, not by a key.
data "aws_iam_policy_document" "endpoint_may_be_taken_on" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.oidc_provider}:sub"
      values   = ["system:serviceaccount:${kubernetes_namespace_v1.lockstep.metadata[0].name}:${local.account}"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.oidc_provider}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "endpoint" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.lockstep.arn}/mlflow/*"]
  }
  statement {
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.lockstep.arn]
  }
}

resource "aws_iam_role" "endpoint" {
  name_prefix        = "${var.name}-endpoint-"
  assume_role_policy = data.aws_iam_policy_document.endpoint_may_be_taken_on.json
}

resource "aws_iam_role_policy" "endpoint" {
  role   = aws_iam_role.endpoint.id
  policy = data.aws_iam_policy_document.endpoint.json
}

resource "kubernetes_namespace_v1" "lockstep" {
  metadata {
    name   = var.name
    labels = { "pod-security.kubernetes.io/enforce" = "restricted" }
  }
}

resource "helm_release" "endpoint" {
  name      = local.account
  namespace = kubernetes_namespace_v1.lockstep.metadata[0].name
  chart     = "${path.module}/../helm/lockstep"
  atomic    = true
  timeout   = 900
  values = [
    file("${path.module}/endpoint-values.yaml"),
    yamlencode({
      image          = { repository = var.image_repository, digest = var.image_digest }
      mlflow         = { trackingUri = var.mlflow_uri }
      serviceAccount = { annotations = { "eks.amazonaws.com/role-arn" = aws_iam_role.endpoint.arn } }
    }),
  ]
}
