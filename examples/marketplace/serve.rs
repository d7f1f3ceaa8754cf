//! `--serve`: the service alone, until Ctrl-C.

use std::process::ExitCode;

use crate::args::Args;
use crate::boot;
use crate::error::Failure;
use crate::progress::say;
use crate::seed::{PASSWORD, email};
use crate::settings::Settings;

pub async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let settings = Settings::load(args.config.as_deref())?;
    let market = boot::open(args, &settings).await?;
    let base = format!("http://{}", market.address());
    say(&format!(
        "\nserving on {base}; Ctrl-C ends it and removes everything\n
  curl '{base}/api/auctions?page=1&per_page=5&status=open'
  curl '{base}/api/auctions/42'
  curl '{base}/api/auctions/top'
  TOKEN=$(curl -s '{base}/api/login' -H 'content-type: application/json' -d '{{\"email\":\"{}\",\"password\":\"{PASSWORD}\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')
  curl '{base}/api/auctions/42/bids' -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' -d '{{\"amount_cents\":2000000}}'
  curl '{base}/api/users/me/bids' -H \"authorization: Bearer $TOKEN\"
  curl '{base}/health'   '{base}/ready'   '{base}/metrics'\n",
        email(1)
    ));
    say(&market.servers());
    // Without a signal handler there is no way to stop but the process' end,
    // which the stack survives no better: both come to the same.
    let _ = tokio::signal::ctrl_c().await;
    say("\nstopping");
    market.close().await;
    Ok(ExitCode::SUCCESS)
}
