//! The script of the web vitals in a real browser: Chromium, without a window, driven through the pipe that
//! its debugger speaks on. Where there is none, the test says so and passes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use seawall_metrics::{Handle, Recorder, Value as Recorded, VitalsConfig, VitalsService};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(90);
const FIRST_BYTE: Duration = Duration::from_millis(120);

/// Text that is painted, something above it that comes later and pushes it down, and a button that is
/// busy for a while when it is pressed. It tells the server what has been shown.
const BUSY: &str = r#"<!doctype html><script src="/vitals"></script><body style="margin:0">
<div id="late"></div><h1 id="text">Some text that takes up room</h1>
<button id="button" style="position:fixed;left:0;top:400px;width:200px;height:100px">press</button>
<script>
let frames=(n,f)=>n?requestAnimationFrame(()=>frames(n-1,f)):f();
let shown=new Promise(done=>new PerformanceObserver((list,it)=>{if(list.getEntriesByName("first-contentful-paint").length){it.disconnect();done()}}).observe({type:"paint",buffered:true}));
shown.then(()=>frames(2,()=>{document.getElementById("late").style.height="200px";frames(3,()=>fetch("/step"))}));
document.getElementById("button").onclick=()=>{let end=performance.now()+150;while(performance.now()<end);frames(3,()=>setTimeout(()=>fetch("/step"),100))};
</script>"#;

/// A page that nobody touches.
const QUIET: &str = r#"<!doctype html><script src="/vitals"></script><h1>Some text</h1><script>
new PerformanceObserver((list,it)=>{it.disconnect();fetch("/step")}).observe({type:"largest-contentful-paint",buffered:true});
</script>"#;

#[tokio::test]
async fn a_browser_posts_what_its_user_saw_when_the_page_is_left_or_closed() {
    let Some(program) = installed() else {
        println!("passed over: no Chromium here to run the script of the web vitals");
        return;
    };
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let steps = Arc::new(AtomicU32::new(0));
    let origin = serve(&recorder, &steps).await;
    let directory = tempdir();
    let Some(mut browser) = Browser::start(&program, &directory.0).await else {
        println!("passed over: {} does not start here", program.display());
        return;
    };

    browser.open(&format!("{origin}/busy")).await;
    until("the page has shifted", || steps.load(Relaxed) == 1).await;
    browser.click(100, 450).await;
    until("the click has been shown", || steps.load(Relaxed) == 2).await;
    // Left for another page.
    browser.open(&format!("{origin}/elsewhere")).await;
    until("the beacon of the first page", || taken(&handle, "lcp") == 1).await;
    let [lcp, inp, cls, ttfb, fcp] =
        ["lcp", "inp", "cls", "ttfb", "fcp"].map(|it| sum(&handle, it));
    assert_eq!(["lcp", "inp", "cls", "ttfb", "fcp"].map(|it| taken(&handle, it)), [1; 5]);
    assert!(ttfb >= FIRST_BYTE.as_secs_f64() && ttfb <= fcp && fcp <= lcp, "{ttfb} {fcp} {lcp}");
    assert!(lcp < LONG.as_secs_f64(), "{lcp}");
    // The text moved down by 200 of at least 400 pixels; it does not fill the page.
    assert!(cls > 0.01 && cls < 1.0, "{cls}");
    // As long as the button was busy, in steps of 8 ms.
    assert!(inp > 0.14, "{inp}");

    browser.open(&format!("{origin}/quiet")).await;
    until("the second page is shown", || steps.load(Relaxed) == 3).await;
    browser.close_page().await;
    until("the beacon of the second page", || taken(&handle, "lcp") == 2).await;
    // Nobody touched it, nothing moved.
    assert_eq!((taken(&handle, "inp"), taken(&handle, "cls")), (1, 2));
    assert!((sum(&handle, "cls") - cls).abs() < 1e-9);
    assert_eq!((taken(&handle, "fcp"), taken(&handle, "ttfb")), (2, 2));
    let refused = handle.counter_value("web_vitals_rejected_total", &[]);
    assert_eq!(refused, Some(0));
    browser.end().await;
}

fn taken(handle: &Handle, vital: &str) -> u64 {
    handle.counter_value("web_vitals_total", &[("metric", vital)]).unwrap()
}

/// Of all that were posted, in base units.
fn sum(handle: &Handle, vital: &str) -> f64 {
    let unit = if vital == "cls" { "score" } else { "seconds" };
    let name = format!("web_vitals_{vital}_{unit}");
    let all = handle.snapshot().metrics;
    let metric = all.into_iter().find(|metric| metric.name == name).unwrap();
    let Recorded::Histogram(histogram) = &metric.series[0].value else { panic!("{name}") };
    histogram.sum
}

async fn serve(recorder: &Recorder, steps: &Arc<AtomicU32>) -> String {
    let vitals =
        metrics::with_local_recorder(recorder, || VitalsService::new(VitalsConfig::default()));
    let steps = steps.clone();
    let page = |text: &'static str| {
        get(move || async move {
            sleep(FIRST_BYTE).await;
            Html(text)
        })
    };
    let app = Router::new()
        .route("/busy", page(BUSY))
        .route("/quiet", page(QUIET))
        .route("/elsewhere", get(|| async { Html("<p>elsewhere") }))
        .route("/step", get(move || async move { (steps.fetch_add(1, Relaxed) + 1).to_string() }))
        .route_service("/vitals", vitals.unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    origin
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(LONG, wait).await.is_ok(), "not within {LONG:?}: {what}");
}

fn installed() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let path = std::env::var_os("PATH")?;
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| {
        places.iter().map(|place| place.join(name)).find(|program| program.is_file())
    })
}

/// Chromium and one page of it. Ends when dropped.
struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
    page: String,
    session: String,
}

impl Browser {
    /// `None` if it ends before it answers.
    async fn start(program: &Path, directory: &Path) -> Option<Self> {
        // Its debugger reads from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--window-size=800,600"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", directory.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (page, session) = (String::new(), String::new());
        let mut browser = Self { child, input, output, last: 0, page, session };
        browser.ask("Browser.getVersion", json!({})).await?;
        Some(browser)
    }

    /// Shows an address, in the page that there is or in a new one.
    async fn open(&mut self, address: &str) {
        if self.page.is_empty() {
            let blank = json!({"url": "about:blank"});
            let page = self.ask("Target.createTarget", blank).await.unwrap();
            self.page = page["targetId"].as_str().unwrap().to_owned();
            let attach = json!({"targetId": self.page, "flatten": true});
            let attached = self.ask("Target.attachToTarget", attach).await.unwrap();
            self.session = attached["sessionId"].as_str().unwrap().to_owned();
        }
        let shown = self.ask("Page.navigate", json!({"url": address})).await.unwrap();
        assert!(shown["errorText"].is_null(), "{shown}");
    }

    async fn click(&mut self, x: u32, y: u32) {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", event).await.unwrap();
        }
    }

    async fn close_page(&mut self) {
        let page = std::mem::take(&mut self.page);
        self.session.clear();
        self.ask("Target.closeTarget", json!({"targetId": page})).await.unwrap();
    }

    /// Waits until it has let go of its directory.
    async fn end(mut self) {
        self.ask("Browser.close", json!({})).await;
        timeout(LONG, self.child.wait()).await.unwrap().unwrap();
    }

    /// The result of a command; `None` if the browser is gone.
    async fn ask(&mut self, method: &str, params: Value) -> Option<Value> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let message = format!("{message}\0");
        self.input.write_all(message.as_bytes()).await.ok()?;
        let answer = async {
            loop {
                let mut bytes = Vec::new();
                if self.output.read_until(0, &mut bytes).await.ok()? == 0 {
                    return None;
                }
                let answer: Value = serde_json::from_slice(bytes.strip_suffix(b"\0")?).ok()?;
                // Others are events.
                if answer["id"] == self.last {
                    assert!(answer["error"].is_null(), "{method}: {answer}");
                    return Some(answer["result"].clone());
                }
            }
        };
        timeout(LONG, answer).await.expect(method)
    }
}

/// Removed when dropped.
struct Directory(PathBuf);

fn tempdir() -> Directory {
    let name = format!("seawall-browser-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    Directory(path)
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Another process of the browser may still write: then the system clears it away.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
