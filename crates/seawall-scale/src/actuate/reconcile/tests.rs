use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::actuate::{Boxed, DryRun, Observed, Resize, Warning};

/// A world in memory: takes wishes, and follows when the test says so.
#[derive(Debug, Default)]
struct World {
    state: Mutex<Observed>,
    looks: AtomicUsize,
    writes: AtomicUsize,
    failures: Mutex<VecDeque<ActuateError>>,
    hangs: AtomicUsize,
}

impl World {
    fn of(size: u32) -> Arc<Self> {
        let world = Self::default();
        *world.state.lock().unwrap() =
            Observed { desired: Some(size), running: size, ready: size, warning: None };
        Arc::new(world)
    }

    fn follows(&self) {
        let mut state = self.state.lock().unwrap();
        state.running = state.desired.unwrap();
        state.ready = state.running;
    }

    fn somebody_sets(&self, size: u32) {
        self.state.lock().unwrap().desired = Some(size);
    }

    fn fails(&self, error: ActuateError) {
        self.failures.lock().unwrap().push_back(error);
    }

    fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}

impl Actuator for World {
    fn name(&self) -> &'static str {
        "world"
    }

    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { Ok(self.state.lock().unwrap().clone()) })
    }

    fn apply<'a>(
        &'a self,
        target: u32,
        _reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        Box::pin(async move {
            self.writes.fetch_add(1, Ordering::SeqCst);
            if let Some(error) = self.failures.lock().unwrap().pop_front() {
                return Err(error);
            }
            let from = self.state.lock().unwrap().desired.replace(target).unwrap();
            if self.hangs.load(Ordering::SeqCst) > 0 {
                self.hangs.fetch_sub(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            Ok(Outcome::Accepted { from })
        })
    }
}

fn reconciler<A: Actuator>(actuator: A) -> Reconciler<A> {
    Reconciler::new("web", actuator, ReconcilerConfig::default()).unwrap()
}

fn forbidden() -> ActuateError {
    let object = "deployments/scale web".into();
    ActuateError::Forbidden { phase: Phase::Apply, status: 403, action: "patch", object }
}

fn busy(retry_after: Option<Duration>) -> ActuateError {
    ActuateError::Busy { phase: Phase::Apply, status: 429, retry_after }
}

#[tokio::test(start_paused = true)]
async fn a_world_that_has_what_is_wanted_is_not_written_to() {
    let world = World::of(4);
    let mut it = reconciler(Arc::clone(&world));
    assert_eq!(it.step().await.standing, Standing::Idle);
    it.want(4, "steady");
    for _ in 0..10 {
        assert_eq!(it.step().await.standing, Standing::Settled);
    }
    assert_eq!(world.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_written_once_and_followed_until_the_world_is_there() {
    let world = World::of(2);
    let mut it = reconciler(Arc::clone(&world));
    it.want(5, "cpu");
    assert_eq!(it.step().await.standing, Standing::Following);
    for _ in 0..5 {
        advance(Duration::from_secs(5)).await;
        it.want(5, "cpu, still");
        assert_eq!(it.step().await.standing, Standing::Following);
    }
    assert_eq!((world.writes(), &*it.status().reason), (1, "cpu"));
    world.follows();
    assert_eq!(it.step().await.standing, Standing::Settled);
    assert_eq!(world.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_world_that_was_told_and_does_not_follow_is_late_and_not_told_again() {
    let world = World::of(2);
    let mut it = reconciler(Arc::clone(&world));
    it.want(5, "cpu");
    it.step().await;
    advance(Duration::from_secs(301)).await;
    let status = it.step().await;
    assert_eq!(status.standing, Standing::Late);
    assert!(status.standing.is_degraded());
    assert_eq!(status.observed.as_ref().unwrap().ready, 2);
    assert_eq!(world.writes(), 1);
    world.follows();
    assert_eq!(it.step().await.standing, Standing::Settled);
}

#[tokio::test(start_paused = true)]
async fn a_write_without_answer_is_not_repeated_if_it_was_taken() {
    let world = World::of(2);
    let mut it = reconciler(Arc::clone(&world));
    it.want(3, "cpu");
    it.step().await;
    world.follows();
    it.step().await;
    world.hangs.store(1, Ordering::SeqCst);
    it.want(5, "cpu");
    let status = it.step().await;
    assert_eq!(status.standing, Standing::BackingOff);
    assert!(status.error.as_ref().unwrap().may_have_happened());
    advance(Duration::from_secs(2)).await;
    let status = it.step().await;
    // What was taken in the dark is not taken for somebody else's.
    assert_eq!((status.standing, status.external_writes), (Standing::Following, 0));
    assert!(status.error.is_none());
    assert_eq!(world.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_dropped_while_writing_is_followed_by_a_look() {
    let world = World::of(2);
    world.hangs.store(1, Ordering::SeqCst);
    let mut it = reconciler(Arc::clone(&world));
    it.want(5, "cpu");
    let dropped = timeout(Duration::from_secs(1), it.step()).await.is_err();
    assert!(dropped);
    let status = it.step().await;
    assert_eq!((status.standing, status.external_writes), (Standing::Following, 0));
    assert_eq!((world.writes(), world.looks()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn failures_are_followed_by_growing_pauses_in_which_nothing_is_asked() {
    let world = World::of(2);
    (0..100).for_each(|_| world.fails(busy(None)));
    let mut it = reconciler(Arc::clone(&world));
    it.want(5, "cpu");
    // Stepped every 100 ms for ten minutes.
    for _ in 0..6_000 {
        it.step().await;
        advance(Duration::from_millis(100)).await;
    }
    // 1, 2, 4 .. 60 s, each between its half and its whole: 600 s hold 13 to 27.
    assert!((13..=27).contains(&world.writes()), "{} writes", world.writes());
    assert_eq!(world.looks(), world.writes());
    assert_eq!(it.status().failures as usize, world.writes());
}

#[tokio::test(start_paused = true)]
async fn the_patience_that_the_other_side_asks_for_is_kept_also_after_a_new_wish() {
    let world = World::of(2);
    world.fails(busy(Some(Duration::from_secs(90))));
    let mut it = reconciler(Arc::clone(&world));
    it.want(5, "cpu");
    it.step().await;
    advance(Duration::from_secs(89)).await;
    it.want(6, "cpu");
    it.step().await;
    assert_eq!((world.writes(), world.looks()), (1, 1));
    advance(Duration::from_secs(2)).await;
    assert_eq!(it.step().await.standing, Standing::Following);
    assert_eq!(world.state.lock().unwrap().desired, Some(6));
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_halts_until_somebody_had_time_to_grant_it() {
    let world = World::of(2);
    world.fails(forbidden());
    let mut it = reconciler(Arc::clone(&world));
    it.want(5, "cpu");
    let status = it.step().await;
    assert_eq!(status.standing, Standing::Halted);
    let said = status.error.as_ref().unwrap().to_string();
    assert_eq!(said, "applying: not allowed to patch deployments/scale web (status 403)");
    advance(Duration::from_secs(299)).await;
    it.want(7, "cpu");
    assert_eq!(it.step().await.standing, Standing::Halted);
    assert_eq!(world.looks(), 1);
    advance(Duration::from_secs(2)).await;
    assert_eq!(it.step().await.standing, Standing::Following);
}

#[tokio::test(start_paused = true)]
async fn a_refused_size_does_not_hold_up_another_one() {
    let world = World::of(2);
    world.fails(ActuateError::Rejected { phase: Phase::Apply, status: 422, source: None });
    let mut it = reconciler(Arc::clone(&world));
    it.want(5_000, "a mistake");
    assert_eq!(it.step().await.standing, Standing::Halted);
    it.want(5, "mended");
    assert_eq!(it.step().await.standing, Standing::Following);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_change_is_corrected_and_after_three_only_watched() {
    let world = World::of(2);
    let mut it = reconciler(Arc::clone(&world));
    it.want(5, "cpu");
    it.step().await;
    for change in 1..=2 {
        world.somebody_sets(20 + change);
        let status = it.step().await;
        assert_eq!(status.external_writes, u64::from(change));
        assert_eq!(world.state.lock().unwrap().desired, Some(5));
    }
    world.somebody_sets(30);
    assert_eq!(it.step().await.standing, Standing::ObserveOnly);
    assert_eq!(world.state.lock().unwrap().desired, Some(30));
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(it.step().await.standing, Standing::ObserveOnly);
    assert_eq!(world.writes(), 3);
    it.resume();
    assert_eq!(it.step().await.standing, Standing::Following);
    assert_eq!(it.status().external_writes, 3);
}

#[tokio::test(start_paused = true)]
async fn foreign_changes_far_apart_do_not_add_up() {
    let world = World::of(2);
    let mut it = reconciler(Arc::clone(&world));
    it.want(5, "cpu");
    it.step().await;
    for _ in 0..10 {
        advance(Duration::from_secs(400)).await;
        world.somebody_sets(9);
        assert_eq!(it.step().await.standing, Standing::Following);
    }
    assert_eq!(it.status().external_writes, 10);
}

#[tokio::test(start_paused = true)]
async fn another_autoscaler_is_never_fought() {
    let world = World::of(2);
    let rival =
        Warning::OtherAutoscaler { kind: "HorizontalPodAutoscaler", name: Box::from("web") };
    world.state.lock().unwrap().warning = Some(rival);
    let mut it = reconciler(Arc::clone(&world));
    it.want(5, "cpu");
    for size in [3, 4, 6, 9] {
        world.somebody_sets(size);
        let status = it.step().await;
        assert_eq!((status.standing, status.external_writes), (Standing::Yielding, 0));
    }
    assert_eq!(world.writes(), 0);
    world.state.lock().unwrap().warning = None;
    assert_eq!(it.step().await.standing, Standing::Following);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_granted_is_no_foreign_change_and_no_storm() {
    let size = Arc::new(AtomicUsize::new(2));
    let (get, set) = (Arc::clone(&size), size);
    let sets = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sets);
    let bounded = Resize::new(
        "pool",
        move || u32::try_from(get.load(Ordering::SeqCst)).unwrap(),
        move |wish| {
            counted.fetch_add(1, Ordering::SeqCst);
            set.store(wish.min(10) as usize, Ordering::SeqCst);
            wish.min(10)
        },
    );
    let mut it = reconciler(bounded);
    it.want(25, "queue");
    for _ in 0..600 {
        let status = it.step().await;
        assert_eq!((status.standing, status.external_writes), (Standing::Short, 0));
        assert_eq!(status.outcome, Some(Outcome::Partial { granted: 10 }));
        advance(Duration::from_secs(1)).await;
    }
    let sets = sets.load(Ordering::SeqCst);
    assert!((10..=27).contains(&sets), "{sets} in ten minutes");
    it.want(8, "queue");
    assert_eq!(it.step().await.standing, Standing::Following);
    assert_eq!(it.step().await.standing, Standing::Settled);
}

#[tokio::test(start_paused = true)]
async fn a_world_that_lost_some_stays_short_of_them_when_asking_again_failed() {
    let mut core = Core::new(ReconcilerConfig::default());
    let asked = |core: &mut Core, running: u32| {
        let next = core.seen(&Observed::counted(running), true, Instant::now());
        next.write.inspect(|_| core.writing())
    };
    core.want(5, Instant::now());
    assert_eq!(asked(&mut core, 2), Some(5));
    core.wrote(5, Outcome::Accepted { from: 2 }, Instant::now());
    assert_eq!(core.standing, Standing::Following);
    advance(Duration::from_secs(300)).await;
    assert_eq!(asked(&mut core, 4), Some(5));
    core.failed(&busy(None), Instant::now());
    advance(Duration::from_secs(300)).await;
    assert_eq!(asked(&mut core, 4), Some(5));
    core.wrote(5, Outcome::Accepted { from: 4 }, Instant::now());
    assert_eq!(core.standing, Standing::Short, "the same as before");
    assert_eq!(asked(&mut core, 5), None);
    assert_eq!(core.standing, Standing::Settled);
    core.want(6, Instant::now());
    assert_eq!(asked(&mut core, 5), Some(6));
    core.wrote(6, Outcome::Accepted { from: 5 }, Instant::now());
    assert_eq!(core.standing, Standing::Following, "another size is another matter");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_sees_the_world_and_leaves_it() {
    let world = World::of(2);
    let mut it = reconciler(DryRun::new(Arc::clone(&world)));
    for target in [5, 5, 6] {
        it.want(target, "cpu");
        assert_eq!(it.step().await.standing, Standing::Recorded);
    }
    let would: Vec<_> = it.actuator().would().iter().map(|would| would.target).collect();
    assert_eq!(would, [5, 6]);
    assert_eq!((world.writes(), it.status().external_writes), (0, 0));
    it.want(2, "calm");
    assert_eq!(it.step().await.standing, Standing::Settled);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_beside_a_live_engine_does_not_count_its_writes_as_foreign() {
    let world = World::of(5);
    let mut it = reconciler(DryRun::new(Arc::clone(&world)));
    it.want(5, "cpu");
    assert_eq!(it.step().await.standing, Standing::Settled);
    for size in [6, 7, 8, 9] {
        world.somebody_sets(size);
        let status = it.step().await;
        assert_eq!((status.standing, status.external_writes), (Standing::Recorded, 0));
    }
    assert_eq!(it.actuator().would().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_was_asked_for_after_a_refusal_is_not_shortened_by_a_new_wish() {
    let world = World::of(2);
    world.fails(ActuateError::Rejected { phase: Phase::Apply, status: 422, source: None });
    world.fails(busy(Some(Duration::from_secs(900))));
    let mut it = reconciler(Arc::clone(&world));
    it.want(5_000, "a mistake");
    it.step().await;
    advance(Duration::from_secs(301)).await;
    assert_eq!(it.step().await.standing, Standing::BackingOff);
    let looks = world.looks();
    it.want(5, "mended");
    it.step().await;
    assert_eq!(world.looks(), looks, "the other side asked for 15 minutes");
}

#[test]
fn a_failure_on_the_way_may_have_let_the_write_through() {
    let busy = |phase, status| ActuateError::Busy { phase, status, retry_after: None };
    assert!(busy(Phase::Apply, 504).may_have_happened());
    assert!(!busy(Phase::Apply, 429).may_have_happened());
    assert!(!busy(Phase::Observe, 504).may_have_happened());
}

#[tokio::test(start_paused = true)]
async fn a_decision_reaches_the_world_with_its_reasons() -> Result<(), crate::PolicyError> {
    let policy = crate::Policy {
        group: "web".into(),
        min: 2,
        max: 20,
        targets: vec![crate::Target::utilisation("cpu_usage", 0.5)],
        ..crate::Policy::default()
    };
    let mut engine = crate::Engine::new(policy, 2)?;
    let world = World::of(2);
    let mut handle = reconciler(Arc::clone(&world)).spawn();
    let mut signals = seawall_signal::Signals::new();
    let now = Instant::now();
    signals.set("cpu_usage", 1.0, seawall_signal::Unit::Ratio, now);
    handle.decided(&engine.tick(&signals, now));
    let told = handle.until(|status| status.outcome.is_some()).await.unwrap();
    assert_eq!(told.target, Some(4));
    assert!(told.reason.contains("cpu_usage is 100 %"), "{}", told.reason);
    assert_eq!(world.state.lock().unwrap().desired, Some(4));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_spawned_reconciler_acts_on_a_wish_at_once_and_ends_with_its_handle() {
    let world = World::of(2);
    let mut handle = reconciler(Arc::clone(&world)).spawn();
    handle.want(5, "cpu");
    let told = handle.until(|status| status.standing == Standing::Following).await.unwrap();
    assert_eq!(told.target, Some(5));
    world.follows();
    handle.until(|status| status.standing == Standing::Settled).await.unwrap();
    assert_eq!(world.writes(), 1);
    drop(handle);
    tokio::task::yield_now().await;
    advance(Duration::from_secs(60)).await;
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&world), 1, "the task is gone");
}

#[test]
fn a_field_out_of_bounds_is_named_with_its_value_and_bound() {
    let config = ReconcilerConfig { interval: Duration::ZERO, ..ReconcilerConfig::default() };
    let said = config.validate().unwrap_err().to_string();
    assert_eq!(said, "interval: 0ns, must be 10ms to 3600s");
    let config =
        ReconcilerConfig { backoff_max: Duration::from_millis(20), ..ReconcilerConfig::default() };
    let said = config.validate().unwrap_err().to_string();
    assert_eq!(said, "backoff_max: 20ms, must be 1s to 3600s");
}
