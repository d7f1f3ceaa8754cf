//! A recorder behind the metrics facade with windowed percentiles, Prometheus exposition and a RED layer.
