use std::time::Duration;

use metrics::with_local_recorder;
use tokio::time::Instant;

use super::*;
use crate::{Error, Recorder};

mod cgroup;
mod proc;

#[test]
fn the_first_sample_has_no_cpu_figure_rather_than_a_wrong_one() {
    let mut sampler = Sampler::new();
    let now = Instant::now();
    assert_eq!(sampler.sample_system(now).cpu_ratio, None);
    // Too soon: the kernel's counters have hardly moved.
    let soon = now + Duration::from_millis(10);
    assert_eq!(sampler.sample_system(soon).cpu_ratio, None);
    let later = now + Duration::from_secs(1);
    let ratio = sampler.sample_system(later).cpu_ratio.unwrap();
    assert!((0.0..=1.0).contains(&ratio), "{ratio}");
}

#[test]
fn host_figures_are_plausible_and_exposed_under_standard_names() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let (system, process) = with_local_recorder(&recorder, || {
        let mut sampler = Sampler::new();
        (sampler.sample_system(Instant::now()), sampler.sample_process().unwrap())
    });
    assert!(system.memory_used > 0 && system.memory_used < system.memory_total);
    assert!((0.0..1.0).contains(&system.memory_ratio()));
    assert!(process.resident_bytes > 100_000 && process.resident_bytes < system.memory_total);
    assert!(process.start_time > 1_600_000_000);
    let gauge = |name, labels: &[(&str, &str)]| handle.gauge_value(name, labels);
    let used = gauge("system_memory_usage_bytes", &[("state", "used")]);
    assert_eq!(used, Some(system.memory_used as f64));
    let resident = gauge("process_resident_memory_bytes", &[]);
    assert_eq!(resident, Some(process.resident_bytes as f64));
    assert!(handle.render().contains("# TYPE process_cpu_seconds_total counter\n"));
}

/// Gauges without a value would say 0.
#[test]
fn what_was_not_measured_yet_is_not_a_number_and_what_nobody_tells_is_not_there() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let mut sampler = with_local_recorder(&recorder, Sampler::new);
    let gauges = || -> Vec<(String, f64)> {
        let metrics = handle.snapshot().metrics.into_iter();
        let values = metrics.flat_map(|metric| {
            let name = metric.name;
            metric.series.into_iter().map(move |series| (name.clone(), series.value))
        });
        let own = |name: &str| name.starts_with("seawall_");
        let values = values.filter(|(name, _)| !own(name));
        values
            .filter_map(|(name, value)| match value {
                crate::Value::Gauge(value) => Some((name, value)),
                _ => None,
            })
            .collect()
    };
    assert!(gauges().len() > 15);
    assert!(gauges().iter().all(|(_, value)| value.is_nan()), "{:?}", gauges());
    let now = Instant::now();
    with_local_recorder(&recorder, || {
        sampler.sample_system(now);
        sampler.sample_process();
        sampler.sample_cgroup(now);
    });
    // Of a second sample nothing is known yet.
    let unknown = |name: &str| handle.gauge_value(name, &[]).is_none_or(f64::is_nan);
    for later in
        ["system_cpu_utilization_ratio", "cgroup_cpu_utilization_ratio", "tokio_busy_ratio"]
    {
        assert!(unknown(later), "{later}");
    }
    assert!(!unknown("system_memory_limit_bytes") && !unknown("process_resident_memory_bytes"));
    let pressure = std::path::Path::new("/proc/pressure/cpu");
    let there = std::fs::read_to_string(pressure).is_ok();
    let label = [("resource", "cpu")];
    assert_eq!(handle.gauge_value("system_pressure_waiting_ratio", &label).is_some(), there);
    let nothing = system::pressure_gauges(None);
    assert!(nothing.iter().all(Option::is_none));
}

#[test]
fn a_file_system_that_is_gone_is_no_longer_told_of() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        let mut probe = system::SystemProbe::new();
        let disk = |mount: &str| DiskSample { mount: mount.to_owned(), total: 100, free: 40 };
        let mut sample = Sampler::new().sample_system(Instant::now());
        sample.disks = vec![disk("/a"), disk("/b")];
        probe.publish(&sample);
        sample.disks = vec![disk("/b")];
        probe.publish(&sample);
        let free = |mount| handle.gauge_value("system_disk_free_bytes", &[("mount", mount)]);
        assert!(free("/a").unwrap().is_nan());
        assert_eq!(free("/b"), Some(40.0));
        sample.disks = vec![disk("/a")];
        probe.publish(&sample);
        assert_eq!(free("/a"), Some(40.0));
    });
}

#[test]
fn traffic_from_before_the_recorder_is_no_traffic_of_the_last_minute() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let system = with_local_recorder(&recorder, || Sampler::new().sample_system(Instant::now()));
    let minute = Duration::from_secs(60);
    let received = handle.window("system_network_receive_bytes_total", &[], minute).count;
    // Only what came in while the first sample was taken.
    assert!(received <= system.network_received / 2, "{received} of {}", system.network_received);
}

#[cfg(target_os = "linux")]
#[test]
fn threads_and_descriptors_are_counted() {
    let process = Sampler::new().sample_process().unwrap();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().count();
    // Other tests start and end threads meanwhile.
    assert!(process.threads.unwrap().abs_diff(tasks) <= 4);
    assert!(process.open_fds.unwrap() >= 3);
    assert!(process.max_fds.unwrap() >= process.open_fds.unwrap());
}

#[tokio::test]
async fn the_sampler_gets_a_cpu_figure_without_waiting_a_whole_interval() {
    let resources = Resources::spawn(Duration::from_secs(3600)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while resources.cpu_ratio().is_none() {
        assert!(Instant::now() < deadline, "{:?}", resources.latest());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(resources.memory_ratio().unwrap() > 0.0);
    assert!(resources.latest().process.is_some());
}

#[test]
fn outside_a_runtime_the_sampler_says_so() {
    let refused = Resources::spawn(Duration::from_secs(1)).unwrap_err();
    assert!(matches!(refused, Error::NoRuntime) && refused.is_retryable());
}

#[tokio::test]
async fn an_interval_too_short_for_a_cpu_figure_is_refused() {
    let config = ResourcesConfig {
        system_interval: Duration::from_millis(199),
        ..ResourcesConfig::default()
    };
    let refused = Resources::spawn_with(config).unwrap_err();
    assert_eq!(refused.to_string(), "system_interval is 0.199: must be 0.2 seconds to 1 day");
}

#[test]
fn an_interval_that_would_end_the_sampler_is_refused() {
    // No clock reaches so far: adding it to now would panic in the task.
    let config = ResourcesConfig { process_interval: Duration::MAX, ..ResourcesConfig::default() };
    let refused = config.validate().unwrap_err().to_string();
    assert!(refused.starts_with("process_interval is "), "{refused}");
    assert!(ResourcesConfig::every(Duration::from_secs(86_400)).validate().is_ok());
}

#[cfg(feature = "serde")]
#[test]
fn intervals_are_read_from_text_and_default_to_ten_and_thirty_seconds() {
    let config: ResourcesConfig =
        serde_json::from_str(r#"{"process_interval": "2s 500ms"}"#).unwrap();
    assert_eq!(config.process_interval, Duration::from_millis(2_500));
    assert_eq!(config.system_interval, Duration::from_secs(30));
    let defaults = ResourcesConfig::default();
    assert_eq!(defaults.process_interval, Duration::from_secs(10));
}
