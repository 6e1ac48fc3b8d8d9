#!/bin/bash
# Starts what a container of the Spark image is for. `driver` and `executor` are what Spark on Kubernetes calls, with
# everything else in variables; `master` and `worker` are a standalone cluster's. Other commands are run as they are.
set -euo pipefail

jars="${SPARK_CONF_DIR:-$SPARK_HOME/conf}:${HADOOP_CONF_DIR:+$HADOOP_CONF_DIR:}$SPARK_HOME/jars/*"
jars="$jars${SPARK_EXTRA_CLASSPATH:+:$SPARK_EXTRA_CLASSPATH}${SPARK_DIST_CLASSPATH:+:$SPARK_DIST_CLASSPATH}"

# Options of the executor's JVM come as SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ..., and their order counts.
java_options=()
for ((i = 0; ; i++)); do
  name="SPARK_JAVA_OPT_$i"
  [[ -v $name ]] || break
  java_options+=("${!name}")
done

case "${1:-}" in
  driver)
    shift
    exec "$SPARK_HOME/bin/spark-submit" --deploy-mode client \
      --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
      --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" "$@"
    ;;
  executor)
    exec "$JAVA_HOME/bin/java" ${java_options[@]+"${java_options[@]}"} \
      "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp "$jars" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
      --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
  master)
    shift
    exec "$SPARK_HOME/bin/spark-class" org.apache.spark.deploy.master.Master "$@"
    ;;
  worker)
    shift
    exec "$SPARK_HOME/bin/spark-class" org.apache.spark.deploy.worker.Worker "$@"
    ;;
  '')
    echo "spark.sh: say driver, executor, master, worker or a command" >&2
    exit 2
    ;;
  *)
    exec "$@"
    ;;
esac
