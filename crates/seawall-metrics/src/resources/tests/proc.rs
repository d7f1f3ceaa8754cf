use super::super::pressure::parse;
use super::super::procfs::{disk_bytes, peak_resident};
use super::*;

#[test]
fn pressure_is_read_as_shares_and_seconds() {
    let text = "some avg10=12.50 avg60=3.10 avg300=0.90 total=20534371157\n\
                full avg10=1.25 avg60=0.10 avg300=0.00 total=1500000\n";
    let stall = parse(text).unwrap();
    assert_eq!((stall.waiting_ratio, stall.stalled_ratio), (0.125, 0.0125));
    assert_eq!((stall.waiting_seconds, stall.stalled_seconds), (20_534.371157, 1.5));
    // Before Linux 5.13 the CPU has no second line.
    let stall = parse("some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n").unwrap();
    assert_eq!((stall.stalled_ratio, stall.stalled_seconds), (0.0, 0.0));
}

#[test]
fn pressure_that_is_cut_off_or_nonsense_is_missing() {
    for text in [
        "",
        "some",
        "some avg10=",
        "some avg10=1.0 avg60=1.0",
        "full avg10=1.0 avg60=1.0 avg300=1.0 total=3",
        "some avg10=NaN total=3",
        "some avg10=-1 total=3",
        "some avg10=inf total=3",
        "operation not supported",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

/// Of a machine with a disk, its partitions, NVMe, a RAID, a device mapper, a
/// loop device and a CD-ROM; kernel 5.5 and later have 20 columns, 2.6 had 14.
const DISKSTATS: &str = "\
   7       0 loop0 55 0 2200 10 0 0 0 0 0 40 10
   8       0 sda 1000 10 20000 500 2000 20 40000 900 0 1000 1400 0 0 0 0 0 0
   8       1 sda1 900 10 19000 400 1900 20 39000 800 0 900 1200 0 0 0 0 0 0
   8      16 sdb 1 0 8 0 0 0 0 0 0 0 0
 259       0 nvme0n1 5 0 100 0 6 0 200 0 0 0 0 0 0 0 0 0 0
 259       1 nvme0n1p1 5 0 100 0 6 0 200 0 0 0 0 0 0 0 0 0 0
   9     127 md127 7 0 7000 0 7 0 7000 0 0 0 0
 253       0 dm-0 7 0 7000 0 7 0 7000 0 0 0 0
 254       0 vda 1 0 16 0 1 0 32 0 0 0 0
  11       0 sr0 1 0 8 0 0 0 0 0 0 0 0
";

#[test]
fn bytes_of_disks_are_added_up_once() {
    let read = (20_000 + 8 + 100 + 16) * 512;
    let written = (40_000 + 200 + 32) * 512;
    assert_eq!(disk_bytes(DISKSTATS), Some((read, written)));
}

#[test]
fn a_tenth_name_space_is_a_disk_and_what_lies_on_others_or_in_memory_is_none() {
    let text = "\
 259       0 nvme0n1 1 0 100 0 1 0 200 0 0 0 0
 259       1 nvme0n1p1 1 0 100 0 1 0 200 0 0 0 0
 259       2 nvme0n10 1 0 10 0 1 0 20 0 0 0 0
 259       3 nvme0c0n1 1 0 100 0 1 0 200 0 0 0 0
 179       0 mmcblk1 1 0 1 0 1 0 2 0 0 0 0
 179       8 mmcblk1p1 1 0 1 0 1 0 2 0 0 0 0
 179      80 mmcblk10 1 0 1 0 1 0 2 0 0 0 0
   8       0 sda 1 0 1000 0 1 0 2000 0 0 0 0
   8      10 sda10 1 0 1000 0 1 0 2000 0 0 0 0
 252       0 zram0 1 0 9000 0 1 0 9000 0 0 0 0
 251       0 bcache0 1 0 9000 0 1 0 9000 0 0 0 0
 147       0 drbd0 1 0 9000 0 1 0 9000 0 0 0 0
";
    assert_eq!(disk_bytes(text), Some((1112 * 512, 2224 * 512)));
}

#[test]
fn a_text_without_a_disk_or_cut_off_within_a_line_gives_what_is_whole() {
    assert_eq!(disk_bytes(""), None);
    assert_eq!(disk_bytes("   7       0 loop0 55 0 2200 10 0 0 0"), None);
    let cut = &DISKSTATS[..DISKSTATS.find("39000").unwrap()];
    assert_eq!(disk_bytes(cut), Some((20_000 * 512, 40_000 * 512)));
    assert_eq!(disk_bytes("8 0 sda 1 1 99999999999999999999 1 1 1 1"), None);
    let most = u64::MAX / 512;
    let two = format!("8 0 sda 1 1 {most} 1 1 1 1\n8 16 sdb 1 1 {most} 1 1 1 1");
    assert_eq!(disk_bytes(&two), Some((u64::MAX, 1024)));
}

#[test]
fn the_peak_is_read_in_bytes() {
    let text = "Name:\tcat\nVmPeak:\t    5000 kB\nVmHWM:\t    1234 kB\nThreads:\t1\n";
    assert_eq!(peak_resident(text), Some(1234 * 1024));
    for text in ["", "VmHWM:", "VmHWM: 12", "VmHWM: x kB", "VmHWM: 99999999999999999999 kB"] {
        assert_eq!(peak_resident(text), None, "{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_peak_is_no_less_than_what_is_resident() {
    let process = Sampler::new().sample_process().unwrap();
    assert!(process.peak_resident_bytes.unwrap() > 100_000);
}

#[test]
fn the_runtime_is_sampled_and_its_use_follows_the_second_sample() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let mut sampler = with_local_recorder(&recorder, Sampler::new);
    let now = Instant::now();
    let first = sampler.sample_runtime(runtime.handle(), now);
    assert_eq!((first.workers, first.busy_ratio), (2, None));
    let task = runtime.spawn(std::future::pending::<()>());
    let second = sampler.sample_runtime(runtime.handle(), now + Duration::from_secs(1));
    assert_eq!(second.alive_tasks, 1);
    assert!((0.0..=1.0).contains(&second.busy_ratio.unwrap()));
    assert_eq!(handle.gauge_value("tokio_workers", &[]), Some(2.0));
    assert_eq!(handle.gauge_value("tokio_alive_tasks", &[]), Some(1.0));
    task.abort();
}

#[tokio::test]
async fn what_was_sampled_is_fed_with_the_time_of_the_sample() {
    use seawall_signal::{Signals, Source, Unit};
    let resources = Resources::spawn(Duration::from_secs(3600)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while resources.cpu_ratio().is_none() {
        assert!(Instant::now() < deadline, "{:?}", resources.latest());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut signals = Signals::new();
    resources.feed(&mut signals, Instant::now());
    let latest = resources.latest();
    let (system, at) = latest.system.unwrap();
    for name in ["cpu_usage", "memory_usage"] {
        let sample = signals.get(name).unwrap();
        assert_eq!(sample.unit, Unit::Ratio);
        assert!((0.0..=1.0).contains(&sample.value), "{name} {}", sample.value);
    }
    assert_eq!(signals.get("memory_usage").unwrap().at, at);
    assert_eq!(signals.get("load_1m").unwrap().value, system.load[0]);
    assert_eq!(
        signals.get("cpu_pressure").is_some(),
        system.pressure.is_some_and(|it| it.cpu.is_some())
    );
    assert!(latest.runtime.is_some());
}

#[test]
fn memory_that_the_system_does_not_tell_of_is_missing_and_not_unused() {
    let mut sample = Sampler::new().sample_system(Instant::now());
    assert!(sample.memory_ratio() > 0.0);
    sample.memory_total = 0;
    assert!(sample.memory_ratio().is_nan());
}
