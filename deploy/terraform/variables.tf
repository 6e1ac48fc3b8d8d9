variable "region" {
  description = "Region of the bucket and of the database."
  type        = string
}

variable "name" {
  description = "Name of everything that is made, and first part of the bucket's."
  type        = string
  default     = "lockstep"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "2 to 31 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "tags" {
  description = "Tags of everything that is made in the cloud."
  type        = map(string)
  default     = {}
}

variable "kubeconfig" {
  description = "File that says how the cluster is reached."
  type        = string
}

variable "kubeconfig_context" {
  description = "Its context."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the database, in two zones at least; without a way to the internet."
  type        = list(string)
  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Two subnets at least, in different zones."
  }
}

variable "vpc_id" {
  description = "Network of these subnets."
  type        = string
}

variable "cluster_security_group_id" {
  description = "Security group of the cluster's nodes: who may reach the database."
  type        = string
}

variable "oidc_provider_arn" {
  description = "The cluster's OpenID Connect provider, by which its accounts take on roles."
  type        = string
}

variable "database_class" {
  description = "Size of the database."
  type        = string
  default     = "db.t4g.medium"
}

variable "expire_days" {
  description = "After so many days older versions of objects are removed."
  type        = number
  default     = 30
}

variable "image_repository" {
  description = "Where the endpoint's image was pushed to."
  type        = string
}

variable "image_digest" {
  description = "Digest of that image."
  type        = string
  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "sha256: and 64 hexadecimal digits: a tag may move."
  }
}

variable "mlflow_uri" {
  description = "MLflow's tracking server, as pods see it."
  type        = string
  default     = "http://mlflow:5000"
}
