use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::*;
use crate::limiter::Limiter;
use crate::policy::Policy;
use crate::quota::Quota;

fn limiter() -> Limiter {
    let policy = |name: &'static str, limit| {
        Policy::new(name, Quota::per(limit, Duration::from_secs(60)).unwrap())
            .message("100 % is enough – genug\n")
    };
    Limiter::builder().policy(policy("a", 7)).policy(policy("b", 7)).build().unwrap()
}

fn rejected(cost: u32, check: impl FnOnce(&Decision<'_>)) {
    let limiter = limiter();
    let set = limiter.set(&["a", "b"]).unwrap();
    let now = Instant::now();
    let _ = limiter.check_n("key", &set, 7, now);
    check(&limiter.check_n("key", &set, cost, now));
}

#[test]
fn tonics_client_reads_the_same_wait_as_the_decision_gives() {
    rejected(2, |decision| {
        let response: Response<LimitBody<()>> = rejection(decision);
        assert_eq!(response.status(), 200);
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "100 % is enough – genug\n");
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, decision.retry_after());
        let failure = status.get_details_quota_failure().unwrap();
        let subjects: Vec<_> = failure.violations.iter().map(|it| it.subject.as_str()).collect();
        assert_eq!(subjects, ["a", "b"]);
        let pushback: u128 =
            response.headers()["grpc-retry-pushback-ms"].to_str().unwrap().parse().unwrap();
        let wait = decision.retry_after().unwrap();
        assert!(pushback >= wait.as_millis() && pushback <= wait.as_millis() + 1);
    });
}

#[test]
fn a_cost_that_no_waiting_makes_possible_forbids_the_retry() {
    rejected(8, |decision| {
        let response: Response<LimitBody<()>> = rejection(decision);
        let status = Status::from_header_map(response.headers()).unwrap();
        assert!(status.get_details_retry_info().is_none());
        assert_eq!(response.headers()["grpc-retry-pushback-ms"], "-1");
    });
}

#[test]
fn a_service_that_cannot_serve_now_is_unavailable_in_grpcs_own_words() {
    let request = http::Request::post("/a.B/C").header(CONTENT_TYPE, "application/grpc+proto");
    let manner = crate::answer::Manner::of(&request.body(()).unwrap(), Default::default());
    let wait = Duration::from_micros(1_500_001);
    let problem = crate::answer::Problem::reduced_capacity("100 % busy");
    let response: Response<LimitBody<()>> = crate::answer::unavailable(&problem, &manner, wait);
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (200, &"2".parse().unwrap())
    );
    assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "100 % busy"));
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(wait));
    assert_eq!(response.headers()["grpc-retry-pushback-ms"], "1501");
}

#[cfg(feature = "tonic")]
#[test]
fn the_status_of_a_handler_is_that_of_the_layer() {
    rejected(2, |decision| {
        let made = decision.to_status().unwrap();
        let response: Response<LimitBody<()>> = rejection(decision);
        let read = Status::from_header_map(response.headers()).unwrap();
        assert_eq!((made.code(), made.message()), (read.code(), read.message()));
        assert_eq!(made.details(), read.details());
        assert!(made.metadata().contains_key("grpc-retry-pushback-ms"));
    });
}
