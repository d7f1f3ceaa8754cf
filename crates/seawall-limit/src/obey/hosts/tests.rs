use super::*;

const MOST: Duration = Duration::from_secs(3_600);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn wait(count: u64) -> Advice {
    Advice { wait: Some(seconds(count)), ..Advice::default() }
}

fn left(count: u64, time: u64) -> Advice {
    Advice { left: Some((count, seconds(time))), ..Advice::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_taken_off_what_is_left() {
    let (host, now) = (Arc::new(Host::default()), Instant::now());
    let first = host.try_send(now).unwrap();
    let second = host.try_send(now).unwrap();
    first.answered(left(2, 60), MOST, now);
    let third = host.try_send(now).unwrap();
    assert_eq!(host.try_send(now).err(), Some(now + seconds(60)));
    second.answered(left(1, 60), MOST, now);
    assert!(host.try_send(now).is_err());
    // The answers say what those took, and more is left than feared.
    third.answered(left(5, 60), MOST, now);
    let rest: Vec<_> = (0..5).map(|_| host.try_send(now).unwrap()).collect();
    assert!(host.try_send(now).is_err());
    assert!(host.try_send(now + seconds(60)).is_ok());
    drop(rest);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_an_earlier_request_does_not_lift_a_block() {
    let (host, now) = (Arc::new(Host::default()), Instant::now());
    let [early, late, later] = [(); 3].map(|()| host.try_send(now).unwrap());
    late.answered(wait(30), MOST, now);
    early.answered(left(100, 60), MOST, now);
    assert_eq!(host.try_send(now).err(), Some(now + seconds(30)));
    later.answered(wait(10), MOST, now);
    assert_eq!(host.try_send(now).err(), Some(now + seconds(30)));
}

#[tokio::test(start_paused = true)]
async fn after_a_block_one_goes_ahead() {
    let (host, now) = (Arc::new(Host::default()), Instant::now());
    host.try_send(now).unwrap().answered(wait(30), MOST, now);
    let after = now + seconds(30);
    let ahead = host.try_send(after).unwrap();
    assert_eq!(host.try_send(after).err(), Some(after + AHEAD));
    ahead.answered(Advice::default(), MOST, after);
    assert!(host.try_send(after).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_server_is_not_believed_for_ever() {
    let (host, now) = (Arc::new(Host::default()), Instant::now());
    host.try_send(now).unwrap().answered(wait(u64::MAX), MOST, now);
    assert_eq!(host.try_send(now).err(), Some(now + MOST));
}

#[tokio::test(start_paused = true)]
async fn a_full_table_forgets_idle_hosts_and_keeps_blocked_ones() {
    let (hosts, now) = (Hosts::new(2), Instant::now());
    let blocked = hosts.get("blocked", now).unwrap();
    blocked.try_send(now).unwrap().answered(wait(30), MOST, now);
    drop(blocked);
    for name in ["a", "b", "c"] {
        assert!(hosts.get(name, now).is_some());
    }
    assert!(hosts.get("blocked", now).unwrap().try_send(now).is_err());
    let held = hosts.get("c", now).unwrap();
    assert!(hosts.get("d", now).is_none(), "one is blocked and one in use");
    drop(held);
}
