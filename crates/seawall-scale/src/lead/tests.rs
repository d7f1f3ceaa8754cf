use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{Instant, advance};

use super::core::Belief;
use super::*;
use crate::actuate::{Actuator, Outcome, Reconciler, ReconcilerConfig, Resize, Standing};

const TTL: Duration = Duration::from_secs(15);

/// A store in memory, by the paused clock.
#[derive(Debug, Default)]
struct Memory {
    held: Mutex<(Option<Held>, u64)>,
}

/// By whom, and until when.
type Held = (Arc<str>, Instant);

/// How one process sees it; a frozen one gets no answers, and its questions wait.
#[derive(Debug)]
struct View {
    memory: Arc<Memory>,
    holder: Arc<str>,
    frozen: Arc<AtomicBool>,
}

impl View {
    fn of(memory: &Arc<Memory>) -> (Self, Arc<AtomicBool>) {
        let frozen = Arc::new(AtomicBool::new(false));
        let (memory, holder) = (Arc::clone(memory), holder());
        (Self { memory, holder, frozen: Arc::clone(&frozen) }, frozen)
    }

    async fn thaw(&self) {
        while self.frozen.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl LeaseStore for View {
    fn take(&self, ttl: Duration) -> Boxed<'_, Result<Option<u64>, LeaseError>> {
        Box::pin(async move {
            self.thaw().await;
            let mut held = self.memory.held.lock().unwrap();
            let now = Instant::now();
            let live = held.0.clone().filter(|(_, until)| *until > now);
            match live {
                Some((holder, _)) if holder != self.holder => return Ok(None),
                Some(_) => {}
                None => held.1 += 1,
            }
            held.0 = Some((Arc::clone(&self.holder), now + ttl));
            Ok(Some(held.1))
        })
    }

    fn holds(&self, term: u64) -> Boxed<'_, Result<bool, LeaseError>> {
        Box::pin(async move {
            self.thaw().await;
            let held = self.memory.held.lock().unwrap();
            let mine = |(holder, until): &Held| *holder == self.holder && *until > Instant::now();
            Ok(held.1 == term && held.0.as_ref().is_some_and(mine))
        })
    }

    fn release(&self) -> Boxed<'_, Result<(), LeaseError>> {
        Box::pin(async move {
            self.thaw().await;
            let mut held = self.memory.held.lock().unwrap();
            held.0.take_if(|(holder, _)| *holder == self.holder);
            Ok(())
        })
    }
}

fn elector(memory: &Arc<Memory>) -> (Arc<Elector>, Arc<AtomicBool>) {
    let (view, frozen) = View::of(memory);
    (Arc::new(Elector::spawn("web", view, LeaseConfig::default()).unwrap()), frozen)
}

async fn pass(time: Duration) {
    for _ in 0..(time.as_millis() / 100) {
        advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_belief_counts_from_the_question_and_ends_before_the_lease_whatever_the_clock_does() {
    let asked_at = Instant::now();
    let belief = Belief::answered(Some(7), asked_at, TTL);
    assert_eq!(belief.leads(asked_at), Some(7));
    assert_eq!(belief.leads(asked_at + Duration::from_millis(11_999)), Some(7));
    for later in [12_000, 15_000, 3_600_000, 86_400_000] {
        assert_eq!(belief.leads(asked_at + Duration::from_millis(later)), None, "{later} ms");
    }
    assert_eq!(Belief::answered(None, asked_at, TTL).leads(asked_at), None);
    assert_eq!(Belief::default().leads(asked_at), None);
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_goes_on_leading_in_the_same_term() {
    let memory = Arc::new(Memory::default());
    let (one, _) = elector(&memory);
    assert_eq!(one.elected().await, Some(1));
    let (two, _) = elector(&memory);
    for _ in 0..20 {
        pass(Duration::from_secs(5)).await;
        assert_eq!((one.leads(), two.leads()), (Some(1), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_dies_is_followed_within_its_lease_in_a_new_term() {
    let memory = Arc::new(Memory::default());
    let (one, _) = elector(&memory);
    one.elected().await;
    let (two, _) = elector(&memory);
    pass(Duration::from_secs(10)).await;
    drop(one);
    let died_at = Instant::now();
    assert_eq!(two.elected().await, Some(2));
    let without = died_at.elapsed();
    assert!(without <= TTL + TTL / 4, "{without:?} without a leader");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_gives_back_is_followed_at_the_next_question() {
    let memory = Arc::new(Memory::default());
    let (one, _) = elector(&memory);
    one.elected().await;
    let (two, _) = elector(&memory);
    pass(Duration::from_secs(1)).await;
    Arc::into_inner(one).unwrap().shutdown().await;
    let gone_at = Instant::now();
    two.elected().await.unwrap();
    assert!(gone_at.elapsed() <= TTL / 4 + Duration::from_secs(1), "{:?}", gone_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_holder_stops_believing_before_another_leads_and_cannot_come_back_late() {
    let memory = Arc::new(Memory::default());
    let (one, frozen) = elector(&memory);
    one.elected().await;
    let (two, _) = elector(&memory);
    pass(Duration::from_secs(2)).await;
    frozen.store(true, Ordering::SeqCst);
    let mut both = 0;
    while two.leads().is_none() {
        advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
        both += u32::from(one.leads().is_some() && two.leads().is_some());
    }
    assert_eq!((both, one.leads(), two.leads()), (0, None, Some(2)));
    // Its renewal arrives late.
    frozen.store(false, Ordering::SeqCst);
    pass(Duration::from_secs(60)).await;
    assert_eq!((one.leads(), two.leads()), (None, Some(2)));
    assert!(!one.confirm(1).await.unwrap());
    assert!(two.confirm(2).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_writes_and_the_other_takes_over() {
    let memory = Arc::new(Memory::default());
    let size = Arc::new(Mutex::new(2));
    let world = || {
        let (get, set) = (Arc::clone(&size), Arc::clone(&size));
        let set = move |wish| {
            *set.lock().unwrap() = wish;
            wish
        };
        Resize::new("pool", move || *get.lock().unwrap(), set)
    };
    let engine = |elector: &Arc<Elector>| {
        let led = Led::new(world(), Arc::clone(elector));
        Reconciler::new("web", led, ReconcilerConfig::default()).unwrap()
    };
    let (one, _) = elector(&memory);
    one.elected().await;
    let (two, _) = elector(&memory);
    let (mut first, mut second) = (engine(&one), engine(&two));
    second.want(5, "cpu");
    let status = second.step().await;
    assert_eq!((status.standing, status.outcome), (Standing::Standby, Some(Outcome::NotLeading)));
    assert_eq!(*size.lock().unwrap(), 2);
    first.want(5, "cpu");
    first.step().await;
    assert_eq!(*size.lock().unwrap(), 5);
    drop((first, one));
    two.elected().await;
    second.want(7, "cpu");
    assert_eq!(second.step().await.standing, Standing::Following);
    assert_eq!((*size.lock().unwrap(), second.status().external_writes), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_leader_writes_does_not_stop_the_one_that_follows_it() {
    let memory = Arc::new(Memory::default());
    let size = Arc::new(Mutex::new(2));
    let engine = |elector: &Arc<Elector>| {
        let (get, set) = (Arc::clone(&size), Arc::clone(&size));
        let set = move |wish| {
            *set.lock().unwrap() = wish;
            wish
        };
        let led = Led::new(Resize::new("pool", move || *get.lock().unwrap(), set), elector.clone());
        Reconciler::new("web", led, ReconcilerConfig::default()).unwrap()
    };
    let (one, _) = elector(&memory);
    one.elected().await;
    let (two, _) = elector(&memory);
    let (mut first, mut second) = (engine(&one), engine(&two));
    for target in 3..9 {
        first.want(target, "cpu");
        first.step().await;
        second.step().await;
        second.want(target, "cpu");
        assert_eq!(second.step().await.external_writes, 0);
    }
    drop((first, one));
    two.elected().await;
    second.want(12, "cpu");
    assert_eq!(second.step().await.standing, Standing::Following);
    assert_eq!(*size.lock().unwrap(), 12);
    // From here on its own writes are its own.
    *size.lock().unwrap() = 1;
    assert_eq!(second.step().await.external_writes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_no_store_that_hangs() {
    let memory = Arc::new(Memory::default());
    let (one, frozen) = elector(&memory);
    one.elected().await;
    frozen.store(true, Ordering::SeqCst);
    let led = Led::new(Resize::new("pool", || 2, |wish| wish), Arc::clone(&one));
    let error = led.apply(5, "cpu").await.unwrap_err();
    assert!(error.is_retryable());
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "the store of the lease did not answer within 3.75s");
}
