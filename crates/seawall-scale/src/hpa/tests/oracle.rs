//! A second HPA, written from the description of the algorithm in words and not from the code beside
//! it, and compared with that over random cases. One function, plain loops, its own types.

use super::*;

/// A pod with its CPU: use and request in thousandths.
#[derive(Clone, Debug)]
struct Instance {
    life: u8,
    ready: Option<bool>,
    started: Option<u64>,
    changed: u64,
    used: Option<i64>,
    sampled: u64,
    window: u64,
    request: i64,
}

#[derive(Clone, Debug)]
enum Ask {
    Cpu { percent: i32 },
    CpuValue { each: i64 },
    PerPod { each: i64 },
    Total { of: i64, at: i64 },
    Average { of: i64, each: i64 },
    Lost,
}

/// Rules of a direction: window, select (0 max, 1 min, 2 disabled), policies (per cent?, value,
/// period), tolerance in thousandths.
type Way = (Option<u64>, u8, Vec<(bool, i32, u64)>, Option<u16>);

#[derive(Clone, Debug)]
struct Case {
    min: i32,
    max: i32,
    spec: i32,
    status: i32,
    asleep: bool,
    gate: bool,
    pods: Vec<Instance>,
    asks: Vec<Ask>,
    behaviour: Option<(Way, Way)>,
    wishes: Option<Vec<(i32, u64)>>,
    ups: Vec<(i32, u64)>,
    downs: Vec<(i32, u64)>,
}

const INIT: u64 = 300;
const READY: u64 = 30;
const FACTOR: f64 = 2.0;

/// How many replicas there shall be; `None`: nothing is decided.
fn oracle(case: &Case) -> Option<i32> {
    let now = NOW.as_secs();
    let objects = case
        .asks
        .iter()
        .any(|ask| matches!(ask, Ask::Total { .. } | Ask::Average { .. } | Ask::Lost));
    let wakes = case.gate && case.asleep && (case.min > 0 || objects);
    if case.spec == 0 && !wakes {
        return None;
    }
    if case.spec > case.max {
        return Some(case.max);
    }
    if case.spec > 0 && case.spec < case.min {
        return Some(case.min);
    }
    let (mut low, mut high) = (0.1, 0.1);
    if let Some(((_, _, _, up), (_, _, _, down))) = &case.behaviour {
        high = up.map_or(high, |t| f64::from(t) / 1000.0);
        low = down.map_or(low, |t| f64::from(t) / 1000.0);
    }
    let calm = |ratio: f64| 1.0 - low <= ratio && ratio <= 1.0 + high;

    let mut best: Option<i32> = None;
    let mut lost = false;
    for ask in &case.asks {
        let proposal = match ask {
            Ask::Lost => None,
            Ask::Total { of, at } => {
                let ratio = *of as f64 / *at as f64;
                if case.spec == 0 {
                    Some(ratio.ceil() as i32)
                } else if calm(ratio) {
                    Some(case.spec)
                } else if case.pods.is_empty() {
                    None
                } else {
                    // The controller does not look whether a ready pod is being deleted here.
                    let up = case
                        .pods
                        .iter()
                        .filter(|pod| matches!(pod.life, 1 | 4) && pod.ready == Some(true));
                    Some((ratio * up.count() as f64).ceil() as i32)
                }
            }
            Ask::Average { of, each } => {
                let ratio = *of as f64 / (*each as f64 * f64::from(case.status));
                let sized = (*of as f64 / *each as f64).ceil() as i32;
                Some(if calm(ratio) { case.status } else { sized })
            }
            Ask::Cpu { .. } | Ask::CpuValue { .. } | Ask::PerPod { .. } => {
                by_pods(case, ask, now, calm)
            }
        };
        match proposal {
            None => lost = true,
            Some(wish) => best = Some(best.map_or(wish, |best| best.max(wish))),
        }
    }
    let wish = best?;
    if lost && wish < case.spec {
        return None;
    }
    Some(settle(case, wish, now))
}

/// From the use of each pod: classes, fill-in, and the guards against turning round.
fn by_pods(case: &Case, ask: &Ask, now: u64, calm: impl Fn(f64) -> bool) -> Option<i32> {
    if case.pods.is_empty() || case.pods.iter().all(|pod| pod.used.is_none()) {
        return None;
    }
    let is_cpu = !matches!(ask, Ask::PerPod { .. });
    let (mut counted, mut missing, mut unready) = (Vec::new(), Vec::new(), 0);
    let mut unready_requests = Vec::new();
    for pod in &case.pods {
        // 0 pending, 1 running, 2 failed, 3 succeeded, 4 being deleted.
        match (pod.life, pod.used) {
            (2..=4, _) => continue,
            (0, _) => {
                unready += 1;
                unready_requests.push(pod.request);
                continue;
            }
            (_, None) => {
                missing.push(pod.request);
                continue;
            }
            (_, Some(used)) => {
                let counts = match (pod.ready, pod.started) {
                    _ if !is_cpu => true,
                    (None, _) | (_, None) => false,
                    (Some(ready), Some(started)) if started + INIT > now => {
                        ready && pod.sampled >= pod.changed + pod.window
                    }
                    (Some(ready), Some(started)) => ready || started + READY <= pod.changed,
                };
                if counts {
                    counted.push((used, pod.request));
                } else {
                    unready += 1;
                    unready_requests.push(pod.request);
                }
            }
        }
    }
    if counted.is_empty() {
        return None;
    }
    let ratio_of = |all: &[(i64, i64)]| -> Option<f64> {
        let used: i64 = all.iter().map(|it| it.0).sum();
        let asked: i64 = all.iter().map(|it| it.1).sum();
        match ask {
            Ask::Cpu { percent } if asked == 0 => {
                _ = percent;
                None
            }
            Ask::Cpu { percent } => Some((used * 100 / asked) as f64 / f64::from(*percent)),
            Ask::CpuValue { each } | Ask::PerPod { each } => {
                Some((used / all.len() as i64) as f64 / *each as f64)
            }
            _ => None,
        }
    };
    let ratio = ratio_of(&counted)?;
    let ready = counted.len();
    let rises = ratio > 1.0 && unready > 0;
    if missing.is_empty() && !rises {
        return Some(if calm(ratio) { case.spec } else { (ratio * ready as f64).ceil() as i32 });
    }
    let mut filled = counted;
    for request in missing {
        let assumed = match ask {
            _ if ratio > 1.0 => 0,
            _ if ratio == 1.0 => continue,
            Ask::Cpu { percent } => request * i64::from(*percent.max(&100)) / 100,
            Ask::CpuValue { each } | Ask::PerPod { each } => *each,
            _ => 0,
        };
        filled.push((assumed, request));
    }
    if rises {
        filled.extend(unready_requests.into_iter().map(|request| (0, request)));
    }
    let again = ratio_of(&filled)?;
    let sized = (again * filled.len() as f64).ceil() as i32;
    let turned = (ratio > 1.0 && again < 1.0) || (ratio < 1.0 && again > 1.0);
    let against = (again > 1.0 && sized < case.spec) || (again < 1.0 && sized > case.spec);
    Some(if calm(again) || turned || against { case.spec } else { sized })
}

/// Windows, rates and bounds.
fn settle(case: &Case, wish: i32, now: u64) -> i32 {
    let spec = case.spec;
    let wishes = case.wishes.clone().unwrap_or_else(|| vec![(spec, now)]);
    let Some((up, down)) = &case.behaviour else {
        let held = wishes.iter().filter(|(_, at)| at + 300 >= now).map(|(size, _)| *size);
        let stable = held.fold(wish, i32::max);
        let reach = (FACTOR * f64::from(spec)).max(4.0) as i32;
        let most = reach.min(case.max);
        let size = if stable < case.min { case.min } else { stable.min(most) };
        return if spec == 0 { size.max(case.min) } else { size };
    };
    let (up_window, down_window) = (up.0.unwrap_or(0), down.0.unwrap_or(300));
    let mut lowest = wish;
    let mut highest = wish;
    for (size, at) in &wishes {
        if at + up_window > now {
            lowest = lowest.min(*size);
        }
        if at + down_window > now {
            highest = highest.max(*size);
        }
    }
    let mut stable = spec;
    if stable < lowest {
        stable = lowest;
    }
    if stable > highest {
        stable = highest;
    }
    let moved = |events: &[(i32, u64)], period: u64| -> i32 {
        events.iter().filter(|(_, at)| at + period > now).map(|(by, _)| *by).sum()
    };
    let limit = |way: &Way, rising: bool| -> i32 {
        if way.1 == 2 {
            return spec;
        }
        let standard =
            if rising { vec![(false, 4, 15), (true, 100, 15)] } else { vec![(true, 100, 15)] };
        let policies = if way.2.is_empty() { standard } else { way.2.clone() };
        let sizes = policies.iter().map(|(share, value, period)| {
            let began = spec - moved(&case.ups, *period) + moved(&case.downs, *period);
            match (share, rising) {
                (false, true) => began + value,
                (false, false) => began - value,
                (true, true) => {
                    (f64::from(began) * (1.0 + f64::from(*value) / 100.0)).ceil() as i32
                }
                (true, false) => (f64::from(began) * (1.0 - f64::from(*value) / 100.0)) as i32,
            }
        });
        let largest_change = way.1 == 0;
        if rising == largest_change { sizes.max() } else { sizes.min() }.unwrap_or(spec)
    };
    let size = if stable > spec {
        stable.min(limit(up, true).max(spec).min(case.max))
    } else if stable < spec {
        stable.max(limit(down, false).min(spec).max(case.min))
    } else {
        stable
    };
    if spec == 0 { size.max(case.min) } else { size }
}

fn seconds(count: u64) -> Moment {
    Duration::from_secs(count)
}

fn rules(way: &Way) -> Rules {
    let select = [None, Some(Select::Min), Some(Select::Disabled)];
    let policies = way.2.iter().map(|&(share, value, period)| {
        let period = seconds(period);
        if share {
            RatePolicy::Percent { value, period }
        } else {
            RatePolicy::Pods { value, period }
        }
    });
    Rules {
        window: way.0.map(seconds),
        select: select[usize::from(way.1)],
        policies: policies.collect(),
        tolerance: way.3.map(|t| f64::from(t) / 1000.0),
    }
}

/// The same by the code.
fn ours(case: &Case) -> Done {
    let cpu = || Source::Resource { resource: "cpu".into() };
    let named = || case.pods.iter().enumerate().map(|(n, pod)| (format!("p{n}"), pod));
    let samples: Vec<Sample> = named()
        .filter_map(|(pod, it)| {
            let usage = [("c".to_owned(), Some(it.used?))].into();
            Some(Sample { pod, usage, at: seconds(it.sampled), window: seconds(it.window) })
        })
        .collect();
    let values = || {
        named().filter_map(|(pod, it)| {
            Some((pod, Value { value: it.used?, at: NOW, window: Duration::ZERO }))
        })
    };
    let metrics = case.asks.iter().map(|ask| {
        let (source, target, answer) = match ask {
            Ask::Cpu { percent } => {
                (cpu(), Target::Utilisation(*percent), Some(Answer::Samples(samples.clone())))
            }
            Ask::CpuValue { each } => {
                (cpu(), Target::Average(*each), Some(Answer::Samples(samples.clone())))
            }
            Ask::PerPod { each } => {
                (Source::Pods, Target::Average(*each), Some(Answer::Pods(values().collect())))
            }
            Ask::Total { of, at } => {
                (Source::Object, Target::Value(*at), Some(Answer::Values(vec![*of])))
            }
            Ask::Average { of, each } => {
                (Source::External, Target::Average(*each), Some(Answer::Values(vec![*of])))
            }
            Ask::Lost => (Source::External, Target::Value(1), None),
        };
        Metric { source, target, answer }
    });
    let hpa = Hpa {
        min: case.min,
        max: case.max,
        metrics: metrics.collect(),
        behaviour: case
            .behaviour
            .as_ref()
            .map(|(up, down)| Behaviour { up: Some(rules(up)), down: Some(rules(down)) }),
    };
    let pods = named().map(|(name, it)| Pod {
        name,
        phase: match it.life {
            0 => Phase::Pending,
            2 => Phase::Failed,
            3 => Phase::Succeeded,
            _ => Phase::Running,
        },
        ready: it.ready,
        started: it.started.map(seconds),
        ready_changed: Some(seconds(it.changed)),
        deleting: it.life == 4,
        requests: Requests {
            containers: [("c".to_owned(), Some(it.request))].into(),
            ..Requests::default()
        },
    });
    let world = World {
        spec_replicas: case.spec,
        status_replicas: case.status,
        pods: pods.collect(),
        scaled_to_zero: case.asleep,
    };
    let event = |(change, at): &(i32, u64)| ScaleEvent { change: *change, at: seconds(*at) };
    let mut memory = Memory {
        wishes: case.wishes.as_ref().map(|wishes| {
            wishes
                .iter()
                .map(|(replicas, at)| Wish { replicas: *replicas, at: seconds(*at) })
                .collect()
        }),
        ups: case.ups.iter().map(event).collect(),
        downs: case.downs.iter().map(event).collect(),
    };
    let controller = Controller { scale_to_zero: case.gate, ..Controller::default() };
    reconcile(&controller, &hpa, &world, &mut memory, Faults::default(), NOW)
}

/// So many seconds ago: often on the edge of a window or a period.
fn ago() -> impl Strategy<Value = u64> {
    let edges = prop::sample::select(vec![0, 14, 15, 16, 29, 30, 31, 59, 60, 61, 299, 300, 301]);
    prop_oneof![edges, 0..700_u64].prop_map(|ago| NOW.as_secs() - ago)
}

fn instance() -> impl Strategy<Value = Instance> {
    let life = prop_oneof![1 => Just(0), 8 => Just(1), 1 => 2..5_u8];
    let ready = prop_oneof![6 => Just(Some(true)), 2 => Just(Some(false)), 1 => Just(None)];
    let used =
        prop::option::weighted(0.8, prop_oneof![0..2_000_i64, Just(500), Just(550), Just(450)]);
    let request = prop_oneof![3 => Just(1_000_i64), 1 => 1..1_500_i64];
    let window = prop::sample::select(vec![0, 15, 30, 60]);
    (life, ready, prop::option::weighted(0.9, ago()), ago(), used, ago(), window, request).prop_map(
        |(life, ready, started, changed, used, sampled, window, request)| Instance {
            life,
            ready,
            started,
            changed,
            used,
            sampled,
            window,
            request,
        },
    )
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        4 => prop_oneof![Just(50), 1..150_i32].prop_map(|percent| Ask::Cpu { percent }),
        2 => prop_oneof![Just(500), 1..1_500_i64].prop_map(|each| Ask::CpuValue { each }),
        2 => prop_oneof![Just(500), 1..1_500_i64].prop_map(|each| Ask::PerPod { each }),
        2 => (0..20_000_i64, 1..10_000_i64).prop_map(|(of, at)| Ask::Total { of, at }),
        2 => (0..50_000_i64, 1..3_000_i64).prop_map(|(of, each)| Ask::Average { of, each }),
        1 => Just(Ask::Lost),
    ]
}

fn way() -> impl Strategy<Value = Way> {
    let period = prop::sample::select(vec![15, 30, 60, 300]);
    let policies = prop::collection::vec((any::<bool>(), 1..120_i32, period), 0..3);
    let window = prop::option::of(prop::sample::select(vec![0, 15, 60, 300]));
    (window, 0..3_u8, policies, prop::option::of(0..300_u16))
}

fn case() -> impl Strategy<Value = Case> {
    let size = || 0..15_i32;
    let events = || prop::collection::vec((1..6_i32, ago()), 0..3);
    let first = (0..5_i32, 1..20_i32, size(), size(), any::<bool>(), any::<bool>());
    let then = (
        prop::collection::vec(instance(), 0..8),
        prop::collection::vec(ask(), 1..4),
        prop::option::of((way(), way())),
        prop::option::of(prop::collection::vec((size(), ago()), 0..4)),
        events(),
        events(),
    );
    (first, then).prop_map(|((min, more, spec, status, asleep, gate), then)| {
        let (pods, asks, behaviour, wishes, ups, downs) = then;
        let max = min + more;
        Case { min, max, spec, status, asleep, gate, pods, asks, behaviour, wishes, ups, downs }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_second_hpa_decides_the_same(case in case()) {
        let done = ours(&case);
        let expected = oracle(&case).unwrap_or(case.spec);
        prop_assert_eq!(done.desired, expected, "{:?}", done);
        prop_assert_eq!(done.rescaled, expected != case.spec);
    }
}
