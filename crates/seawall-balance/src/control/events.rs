//! What people read about changes of state: once a change, never per request.

use std::fmt;
use std::time::Duration;

use tracing::{info, warn};

use crate::outlier::Cause;
use crate::shared::Shared;

pub(super) fn ejected<N: fmt::Debug>(shared: &Shared<N>, node: &N, cause: Cause, span: Duration) {
    let balancer = shared.common.stats.name();
    warn!(balancer, ?node, cause = cause.as_str(), ?span, "node ejected");
}

pub(super) fn returned<N: fmt::Debug>(shared: &Shared<N>, node: &N) {
    info!(balancer = shared.common.stats.name(), ?node, "ejection over");
}

pub(super) fn saturated<N: fmt::Debug>(shared: &Shared<N>, node: &N, pause: Duration) {
    info!(balancer = shared.common.stats.name(), ?node, ?pause, "node saturated");
}

pub(super) fn health<N: fmt::Debug>(shared: &Shared<N>, node: &N, healthy: bool) {
    let balancer = shared.common.stats.name();
    if healthy {
        info!(balancer, ?node, "node healthy");
    } else {
        warn!(balancer, ?node, "node unhealthy");
    }
}

pub(super) fn lag<N: fmt::Debug>(shared: &Shared<N>, node: &N, lag: Duration, lagging: bool) {
    let balancer = shared.common.stats.name();
    if lagging {
        warn!(balancer, ?node, ?lag, "node lags");
    } else {
        info!(balancer, ?node, ?lag, "node caught up");
    }
}

pub(super) fn panic<N: fmt::Debug>(shared: &Shared<N>, panic: bool, nodes: usize) {
    let balancer = shared.common.stats.name();
    if panic && shared.config.fail_on_panic {
        warn!(balancer, nodes, "too few nodes are sound: picks fail");
    } else if panic {
        warn!(balancer, nodes, "too few nodes are sound: all are used");
    } else {
        info!(balancer, nodes, "enough nodes are sound again");
    }
}
