//! Small texts of `/proc`, as pure functions.

/// Bytes read and written by the host's disks since boot, by the text of
/// `/proc/diskstats`. `None` if it names no disk.
///
/// Partitions, loop and RAM devices, and devices made of others (device mapper,
/// RAID, bcache, DRBD) are left out: their bytes are those of the disks below. So
/// are the single paths to an NVMe disk that has several.
pub(super) fn disk_bytes(text: &str) -> Option<(u64, u64)> {
    let rows: Vec<_> = text.lines().filter_map(row).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let disks = rows.iter().filter(|row| !is_partition(row.0, &names));
    disks.fold(None, |sum, (_, read, written)| {
        let (reads, writes) = sum.unwrap_or((0_u64, 0_u64));
        Some((reads.saturating_add(*read), writes.saturating_add(*written)))
    })
}

/// Most memory the process ever held in RAM, in bytes, by the text of
/// `/proc/self/status`.
pub(super) fn peak_resident(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Name, bytes read and bytes written of a disk.
fn row(line: &str) -> Option<(&str, u64, u64)> {
    let mut words = line.split_whitespace();
    let major: u32 = words.next()?.parse().ok()?;
    let name = words.nth(1)?;
    let made_of_others = ["dm-", "zram", "bcache"].iter().any(|it| name.starts_with(it));
    if NO_DISKS.contains(&major) || made_of_others || is_path(name) {
        return None;
    }
    // Sectors of these files are 512 bytes, whatever the disk's are.
    let bytes = |sectors: &str| sectors.parse::<u64>().ok()?.checked_mul(512);
    let read = bytes(words.nth(2)?)?;
    let written = bytes(words.nth(3)?)?;
    Some((name, read, written))
}

/// `sda1` beside `sda`, `nvme0n1p2` beside `nvme0n1`; but `nvme0n10` is a disk of
/// its own: behind a digit the kernel puts a `p`.
fn is_partition(name: &str, names: &[&str]) -> bool {
    names.iter().any(|disk| {
        let rest = name.strip_prefix(disk);
        let rest = if disk.ends_with(|c: char| c.is_ascii_digit()) {
            rest.and_then(|rest| rest.strip_prefix('p'))
        } else {
            rest
        };
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
    })
}

/// `nvme0c1n1`: the way to `nvme0n1` by its controller 1.
fn is_path(name: &str) -> bool {
    name.strip_prefix("nvme").is_some_and(|rest| rest.contains('c'))
}

/// Majors of RAM disks, loop devices, RAID, CD-ROM, network block devices and
/// DRBD.
const NO_DISKS: [u32; 6] = [1, 7, 9, 11, 43, 147];
