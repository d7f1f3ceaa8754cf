use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::LuaInterface;

use super::{LeaseError, LeaseStore, holder};
use crate::actuate::Boxed;

/// A lease in a key of Redis that expires, beside a counter of its terms that does not.
///
/// Each clone of the engine makes its own. A Redis that restarts empty or fails over to a replica
/// that was behind forgets the lease, and may forget the last terms.
#[derive(Clone)]
pub struct RedisLease {
    client: Client,
    keys: Vec<String>,
    holder: Arc<str>,
}

impl RedisLease {
    /// The lease `name`, by a connected client. The keys are `{name}:holder` and `{name}:term`,
    /// which a cluster keeps on one node.
    #[must_use]
    pub fn new(client: Client, name: &str) -> Self {
        let keys = vec![format!("{{{name}}}:holder"), format!("{{{name}}}:term")];
        Self { client, keys, holder: holder() }
    }

    async fn run(&self, script: &'static str, argument: u64) -> Result<u64, LeaseError> {
        let arguments = vec![self.holder.to_string(), argument.to_string()];
        let answer = self.client.eval(script, self.keys.clone(), arguments).await;
        answer.map_err(|error| LeaseError::Store { source: Box::new(error) })
    }
}

impl LeaseStore for RedisLease {
    fn take(&self, ttl: Duration) -> Boxed<'_, Result<Option<u64>, LeaseError>> {
        Box::pin(async move {
            let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            let term = self.run(TAKE, millis).await?;
            Ok(Some(term).filter(|term| *term > 0))
        })
    }

    fn holds(&self, term: u64) -> Boxed<'_, Result<bool, LeaseError>> {
        Box::pin(async move { Ok(self.run(HOLDS, term).await? == 1) })
    }

    fn release(&self) -> Boxed<'_, Result<(), LeaseError>> {
        Box::pin(async move { self.run(RELEASE, 0).await.map(|_| ()) })
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// A term that was lost, by eviction or by hand, is no reason to hold a lease without one.
const TAKE: &str = "
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
local term = redis.call('GET', KEYS[2])
if held and term then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(term)
end
term = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return term";

const HOLDS: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('GET', KEYS[2]) == ARGV[2] then return 1 end
return 0";

const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";
