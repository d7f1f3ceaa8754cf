//! L1 against a reference, over random interleavings of everything that can happen to it.
//!
//! The law: a hit is never older than the newest change that L2 told of before the read, nor than
//! the last write, removal or advance of this node that has ended; except that a write or advance
//! of our own, whose echo may have hidden another's, is served while a check of it is under way.
//! While the link to its node is down there is no plain hit.

use std::collections::HashMap;

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;

use super::*;

/// Something that happens.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Someone takes a lease, in one of a few hands. What the hand held is dropped.
    Lease {
        hand: usize,
        key: u64,
    },
    /// It reads L2.
    Read {
        hand: usize,
    },
    /// It keeps in L1 what it read.
    BackFill {
        hand: usize,
    },
    /// It fills L2 over what it read.
    Fill {
        hand: usize,
    },
    /// It writes to L2.
    Put {
        hand: usize,
    },
    /// Its fill or put is answered.
    Answer {
        hand: usize,
    },
    /// Its put is never answered.
    Silence {
        hand: usize,
    },
    Remove {
        key: u64,
    },
    /// Another node writes.
    Foreign {
        key: u64,
    },
    /// L2 tells of all that was written to the key and not told yet, in one message.
    Tell {
        key: u64,
        version: bool,
    },
    /// Another node advances the tag.
    ForeignAdvance,
    TellAdvance {
        version: bool,
    },
    /// This node advances the tag: it begins, L2 does it, L2's answer comes.
    Begin,
    Apply,
    Acknowledge,
    ReadMark,
    /// All that was not told yet is lost.
    Lose,
    Interrupt,
    Resume,
    Check,
    Look {
        key: u64,
    },
    /// A look that asks L2 if it must.
    Resolve {
        key: u64,
    },
}

/// What was once written under a key.
#[derive(Debug, Clone, Copy)]
struct Content {
    /// Twice its version in L2, which orders it; odd if it may never have got there.
    order: u64,
    /// The tag's mark when its load began.
    stamp: u64,
    /// When it was written.
    born: u64,
}

struct InL2 {
    version: u64,
    /// What is there; `None`: a tombstone or nothing.
    content: Option<u64>,
    untold: bool,
}

struct Hand {
    lease: Lease<u64, u64, u64>,
    stamp: u64,
    read: Option<(u64, Option<u64>)>,
    sent: Option<Sent>,
}

#[derive(Clone, Copy)]
enum Sent {
    Fill { version: u64, content: u64 },
    Put { version: u64, content: u64 },
}

struct World {
    l1: L1,
    cell: Arc<Cell>,
    began: Tick,
    step: u64,
    /// The link to the keys' node is up.
    linked: bool,
    keys: HashMap<u64, InL2>,
    mark: u64,
    mark_untold: bool,
    contents: Vec<Content>,
    hands: [Option<Hand>; 3],
    advance: Option<(Advance, Option<u64>)>,
    checks: Vec<Check<u64, u64>>,
    /// Per key: what L2 told, in orders.
    told: HashMap<u64, u64>,
    /// Per key: what ended here, in orders.
    ended: HashMap<u64, u64>,
    told_mark: u64,
    /// Past this, the tag's advances of our own were acknowledged.
    ended_mark: u64,
    /// When this node last began to advance the tag.
    begun: u64,
}

impl World {
    fn new() -> Self {
        let l1 = watched();
        let cell = l1.tag("numbers#t:red", 1);
        let began = l1.clock().now();
        Self {
            cell,
            began,
            step: 0,
            linked: true,
            keys: HashMap::new(),
            mark: 1_000,
            mark_untold: false,
            contents: Vec::new(),
            hands: [None, None, None],
            advance: None,
            checks: Vec::new(),
            told: HashMap::new(),
            ended: HashMap::new(),
            told_mark: 0,
            ended_mark: 0,
            begun: 0,
            l1,
        }
    }

    /// Each step is a microsecond: nothing happens at the same time.
    fn now(&self) -> Tick {
        self.began.plus(Duration::from_micros(self.step))
    }

    fn l2(&mut self, key: u64) -> &mut InL2 {
        self.keys.entry(key).or_insert(InL2 { version: 0, content: None, untold: false })
    }

    fn content(&mut self, order: u64, stamp: u64) -> u64 {
        self.contents.push(Content { order, stamp, born: self.step });
        self.contents.len() as u64 - 1
    }

    fn write(&mut self, key: u64, stamp: u64) -> (u64, u64) {
        let version = self.l2(key).version + 1;
        let content = self.content(version * 2, stamp);
        *self.l2(key) = InL2 { version, content: Some(content), untold: true };
        (version, content)
    }

    fn draft(&self, content: u64, version: u64) -> Draft<u64> {
        let stamp = self.contents[content as usize].stamp;
        let tags = vec![(Arc::clone(&self.cell), stamp)];
        Draft { at: self.now(), tags, ..draft(&self.l1, content, version) }
    }

    fn read_mark(&mut self) {
        let ask = self.l1.ask(self.now());
        self.l1.learn(&self.cell, ask, Mark::new(self.mark), self.now());
        let namespace = Arc::clone(self.l1.namespace());
        self.l1.learn(&namespace, ask, Mark::new(NAMESPACE), self.now());
    }

    fn happen(&mut self, event: Event) {
        self.step += 1;
        match event {
            Event::Lease { hand, key } => {
                self.hands[hand] = None;
                let lease = self.l1.lease(key);
                let stamp = self.l1.stamp(&self.cell, self.now()).unwrap_or(self.mark);
                self.hands[hand] = Some(Hand { lease, stamp, read: None, sent: None });
            }
            Event::Remove { key } => {
                let lease = self.l1.lease(key);
                lease.remove();
                let version = self.l2(key).version + 1;
                *self.l2(key) = InL2 { version, content: None, untold: true };
                lease.remove();
                self.end(key, version * 2);
            }
            Event::Foreign { key } => {
                let stamp = self.mark;
                self.write(key, stamp);
            }
            Event::Tell { key, version } => {
                let there = self.l2(key);
                if std::mem::take(&mut there.untold) {
                    let known = there.version;
                    self.told.insert(key, known * 2);
                    self.l1.changed(&format!("numbers:{key}"), version.then_some(known));
                }
            }
            Event::Lose => self.lose(|l1| l1.lost(None)),
            Event::Interrupt => {
                self.linked = false;
                self.l1.link(0, false);
            }
            Event::Resume => {
                self.linked = true;
                self.lose(|l1| l1.link(0, true));
            }
            Event::Check => self.check(),
            Event::Look { key } => {
                let found = self.l1.look(&key, self.now());
                self.judge(key, &found);
            }
            Event::Resolve { key } => self.resolve(key),
            Event::ForeignAdvance
            | Event::TellAdvance { .. }
            | Event::Begin
            | Event::Apply
            | Event::Acknowledge
            | Event::ReadMark => self.happen_to_mark(&event),
            Event::Read { hand }
            | Event::BackFill { hand }
            | Event::Fill { hand }
            | Event::Put { hand }
            | Event::Answer { hand }
            | Event::Silence { hand } => {
                if let Some(held) = self.hands[hand].take() {
                    self.hands[hand] = self.happen_to_hand(&event, held);
                }
            }
        }
        self.checks.extend(self.l1.take_checks(usize::MAX));
    }

    fn happen_to_hand(&mut self, event: &Event, mut hand: Hand) -> Option<Hand> {
        let key = *hand.lease.key();
        match (event, hand.sent) {
            (Event::Read { .. }, None) => {
                let there = self.l2(key);
                hand.read = Some((there.version, there.content));
            }
            (Event::BackFill { .. }, None) => {
                let (version, content) = hand.read?;
                let draft = self.draft(content?, version);
                let said = self.l1.stamped(&key, draft.namespace, &draft.tags, 0, self.now());
                if said != Stamped::Gone {
                    let _ = hand.lease.fill(draft, self.now());
                }
                return None;
            }
            (Event::Fill { .. }, None) => {
                let (seen, _) = hand.read?;
                hand.lease.send();
                if self.l2(key).version != seen {
                    return None;
                }
                let (version, content) = self.write(key, hand.stamp);
                hand.sent = Some(Sent::Fill { version, content });
            }
            (Event::Put { .. }, None) => {
                hand.lease.send();
                let (version, content) = self.write(key, hand.stamp);
                hand.sent = Some(Sent::Put { version, content });
            }
            (Event::Answer { .. }, Some(Sent::Fill { version, content })) => {
                let _ = hand.lease.fill(self.draft(content, version), self.now());
                return None;
            }
            (Event::Answer { .. }, Some(Sent::Put { version, content })) => {
                let _ = hand.lease.end_write(self.draft(content, version), true, self.now());
                self.end(key, version * 2);
                return None;
            }
            (Event::Silence { .. }, sent) => {
                let content = match sent {
                    Some(Sent::Put { content, .. }) => content,
                    Some(Sent::Fill { .. }) => return None,
                    None => {
                        hand.lease.send();
                        let order = self.l2(key).version * 2 + 1;
                        self.content(order, hand.stamp)
                    }
                };
                let draft = self.draft(content, hand.lease.written());
                let _ = hand.lease.end_write(draft, false, self.now());
                return None;
            }
            _ => {}
        }
        Some(hand)
    }

    fn happen_to_mark(&mut self, event: &Event) {
        match event {
            Event::ForeignAdvance => {
                self.mark += 1;
                self.mark_untold = true;
            }
            Event::TellAdvance { version } if std::mem::take(&mut self.mark_untold) => {
                self.told_mark = self.mark;
                self.l1.changed("numbers#t:red", version.then_some(self.mark));
            }
            Event::Begin if self.advance.is_none() => {
                let now = self.now();
                let advance = self.l1.begin_advance(&self.cell, MarkChange::Hard, now);
                self.advance = Some((advance, None));
                self.begun = self.step;
            }
            Event::Apply => {
                if let Some((_, applied @ None)) = &mut self.advance {
                    self.mark += 1;
                    self.mark_untold = true;
                    *applied = Some(self.mark);
                }
            }
            Event::Acknowledge => match self.advance.take() {
                Some((advance, Some(version))) => {
                    self.l1.advanced(&self.cell, advance, Mark::new(version), self.now());
                    self.ended_mark = self.ended_mark.max(version);
                }
                waiting => self.advance = waiting,
            },
            Event::ReadMark => self.read_mark(),
            _ => {}
        }
    }

    fn end(&mut self, key: u64, order: u64) {
        let ended = self.ended.entry(key).or_default();
        *ended = order.max(*ended);
    }

    fn lose(&mut self, how: impl FnOnce(&L1)) {
        let epoch = self.l1.coherence().epoch();
        how(&self.l1);
        if self.l1.coherence().epoch() == epoch {
            return;
        }
        for (key, there) in &mut self.keys {
            there.untold = false;
            self.told.insert(*key, there.version * 2);
        }
        // The mark is on another node.
        let on_all = self.l1.coherence().node(1).lost > epoch;
        if on_all {
            self.mark_untold = false;
            self.told_mark = self.mark;
        }
    }

    fn check(&mut self) {
        for check in std::mem::take(&mut self.checks) {
            match check {
                Check::Entry(key, entry) => {
                    let epoch = self.l1.coherence().epoch();
                    let there = self.l2(key).version;
                    self.l1.settle(&key, &entry, (entry.node().into(), there), epoch, self.now());
                }
                Check::Mark(_) => self.read_mark(),
            }
        }
    }

    fn resolve(&mut self, key: u64) {
        let found = self.l1.look(&key, self.now());
        let (Look::Suspect(entry) | Look::Unknown(entry)) = &found else {
            return self.judge(key, &found);
        };
        let epoch = self.l1.coherence().epoch();
        self.read_mark();
        let there = self.l2(key).version;
        if !self.l1.settle(&key, entry, (entry.node().into(), there), epoch, self.now()) {
            return;
        }
        let again = self.l1.look(&key, self.now());
        self.judge(key, &again);
        let judged = matches!(again, Look::Hit(_) | Look::Degraded(_) | Look::Miss);
        // A mark from before the stamp says nothing, until it is told.
        let from_the_future = entry.tags()[0].1 > self.mark;
        assert!(judged || from_the_future, "what was asked for is known: {again:?}");
    }

    fn judge(&self, key: u64, found: &Look<u64>) {
        let Look::Hit(entry) = found else {
            return;
        };
        assert!(self.linked, "served as if it could be told of changes: {entry:?}");
        let content = self.contents[*entry.value().copied_ref() as usize];
        let at_least = |orders: &HashMap<u64, u64>| orders.get(&key).copied().unwrap_or(0);
        let checked = self
            .checks
            .iter()
            .any(|check| matches!(check, Check::Entry(_, checked) if checked.is(entry)));
        assert!(
            content.order >= at_least(&self.told) || checked,
            "{content:?} is served after {} was told",
            at_least(&self.told)
        );
        assert!(
            content.order >= at_least(&self.ended),
            "{content:?} is served after {} ended here",
            at_least(&self.ended)
        );
        let mark_checked = self.checks.iter().any(|check| matches!(check, Check::Mark(_)));
        assert!(
            content.stamp >= self.told_mark || mark_checked,
            "{content:?} is served after the mark {} was told",
            self.told_mark
        );
        assert!(content.stamp >= self.ended_mark, "{content:?}: {} ended", self.ended_mark);
        assert!(content.born >= self.begun, "{content:?}: an advance began at {}", self.begun);
    }
}

/// What a value that must be there is.
trait CopiedRef {
    fn copied_ref(&self) -> &u64;
}

impl CopiedRef for Option<&Arc<u64>> {
    fn copied_ref(&self) -> &u64 {
        self.expect("all entries have one")
    }
}

fn event() -> impl Strategy<Value = Event> {
    let (hand, key) = (|| 0..3_usize, || 0..2_u64);
    prop_oneof![
        3 => (hand(), key()).prop_map(|(hand, key)| Event::Lease { hand, key }),
        3 => hand().prop_map(|hand| Event::Read { hand }),
        3 => hand().prop_map(|hand| Event::BackFill { hand }),
        2 => hand().prop_map(|hand| Event::Fill { hand }),
        2 => hand().prop_map(|hand| Event::Put { hand }),
        4 => hand().prop_map(|hand| Event::Answer { hand }),
        1 => hand().prop_map(|hand| Event::Silence { hand }),
        1 => key().prop_map(|key| Event::Remove { key }),
        2 => key().prop_map(|key| Event::Foreign { key }),
        3 => (key(), any::<bool>()).prop_map(|(key, version)| Event::Tell { key, version }),
        1 => Just(Event::ForeignAdvance),
        1 => any::<bool>().prop_map(|version| Event::TellAdvance { version }),
        1 => Just(Event::Begin),
        1 => Just(Event::Apply),
        1 => Just(Event::Acknowledge),
        3 => Just(Event::ReadMark),
        1 => Just(Event::Lose),
        1 => Just(Event::Interrupt),
        1 => Just(Event::Resume),
        2 => Just(Event::Check),
        6 => key().prop_map(|key| Event::Look { key }),
        4 => key().prop_map(|key| Event::Resolve { key }),
    ]
}

/// Two thousand interleavings, or as many as `PROPTEST_CASES` says.
fn more() -> Config {
    let config = Config::default();
    Config { cases: config.cases.max(2_000), ..config }
}

proptest! {
    #![proptest_config(more())]

    #[test]
    fn no_hit_is_older_than_what_was_told_or_ended_before(
        events in proptest::collection::vec(event(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let _guard = runtime.enter();
        let mut world = World::new();
        for event in events {
            world.happen(event);
            for key in 0..2 {
                let found = world.l1.peek(&key, world.now());
                world.judge(key, &found);
            }
        }
        drop(world.hands);
        assert_eq!(world.l1.leased(), 0);
    }
}
