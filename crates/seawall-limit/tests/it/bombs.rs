//! Bodies that are small on the wire and large once unpacked.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_compression::Level;
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use seawall_limit::{GuardBody, GuardLayer, Guards};
use tokio::io::{AsyncRead, AsyncReadExt as _, repeat};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::decompression::RequestDecompressionLayer;

const BOUND: u64 = 100_000;
const BOMB: u64 = 16 * 1024 * 1024;

async fn packed(encoding: &str, size: u64) -> Vec<u8> {
    let zeros = tokio::io::BufReader::new(repeat(0).take(size));
    let mut reader: Pin<Box<dyn AsyncRead>> = match encoding {
        "gzip" => Box::pin(GzipEncoder::new(zeros)),
        "br" => Box::pin(BrotliEncoder::with_quality(zeros, Level::Precise(5))),
        "zstd" => Box::pin(ZstdEncoder::new(zeros)),
        _ => Box::pin(zeros),
    };
    let mut packed = Vec::new();
    reader.read_to_end(&mut packed).await.unwrap();
    packed
}

/// Wire guard, decompression, guard; then the status and how many bytes the handler saw.
async fn send(encoding: &'static str, body: Vec<u8>) -> (StatusCode, u64) {
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let handler = service_fn(move |request: Request<GuardBody<_>>| {
        let counter = Arc::clone(&counter);
        async move {
            let mut body = std::pin::pin!(request.into_body());
            while let Some(frame) = body.frame().await {
                let Ok(frame): Result<http_body::Frame<Bytes>, _> = frame else { break };
                let length = frame.data_ref().map_or(0, Bytes::len);
                counter.fetch_add(length as u64, Ordering::Relaxed);
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let guard = GuardLayer::new(Guards { max_body: BOUND, ..Guards::default() });
    let inside = guard.clone().layer(handler);
    let service = guard.layer(RequestDecompressionLayer::new().layer(inside));
    let length = body.len().to_string();
    let request = Request::post("/")
        .header("content-encoding", encoding)
        .header("content-length", length)
        .body(Full::<Bytes>::from(body))
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    (response.status(), seen.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_bomb_is_413_and_is_unpacked_no_further_than_the_bound() {
    for encoding in ["gzip", "br", "zstd"] {
        let bomb = packed(encoding, BOMB).await;
        assert!((bomb.len() as u64) < BOUND, "{encoding}: {} bytes on the wire", bomb.len());
        let (status, seen) = send(encoding, bomb).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
        assert!(seen <= BOUND, "{encoding}: the handler saw {seen} bytes");
    }
}

#[tokio::test]
async fn what_unpacks_to_just_the_bound_passes_and_one_byte_more_does_not() {
    for encoding in ["gzip", "br", "zstd"] {
        let fits = send(encoding, packed(encoding, BOUND).await).await;
        assert_eq!(fits, (StatusCode::OK, BOUND), "{encoding}");
        let over = send(encoding, packed(encoding, BOUND + 1).await).await;
        assert_eq!(over.0, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
    }
}

#[tokio::test]
async fn a_packed_body_that_is_too_large_on_the_wire_is_not_unpacked_at_all() {
    let (status, seen) = send("gzip", vec![0; BOUND as usize + 1]).await;
    assert_eq!((status, seen), (StatusCode::PAYLOAD_TOO_LARGE, 0));
}
