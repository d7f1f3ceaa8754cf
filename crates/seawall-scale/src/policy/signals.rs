use seawall_signal::{Lint, Units};

use super::Policy;

impl Policy {
    /// The names of all signals it reads, each once, sorted.
    #[must_use]
    pub fn signals(&self) -> Vec<&str> {
        let outlooks = self.forecasts.iter().filter_map(|forecast| forecast.outlook.as_ref());
        let outlooks = outlooks.flat_map(crate::Outlook::signals).map(String::as_str);
        let rules = self.rules.iter().flat_map(|rule| rule.condition.signals());
        let saturated = self.scalability.iter().flat_map(|each| each.saturated.signals());
        let mut names: Vec<_> =
            self.decisive().chain(outlooks).chain(rules).chain(saturated).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What looks wrong when the signals have these units: unknown names, units
    /// that cannot match, bare numbers. For start-up checks. What the outlook of a forecast names
    /// may be unknown: it changes no decision.
    #[must_use]
    pub fn lint(&self, units: &Units) -> Vec<Lint> {
        let named = self
            .decisive()
            .filter(|signal| !units.contains_key(*signal))
            .map(|signal| Lint::UnknownSignal { signal: signal.to_owned() });
        let rules = self.rules.iter().flat_map(|rule| rule.condition.lint(units));
        let saturated = self.scalability.iter().flat_map(|each| each.saturated.lint(units));
        named.chain(rules).chain(saturated).collect()
    }

    /// Those that decide and are not in a condition.
    fn decisive(&self) -> impl Iterator<Item = &str> {
        let targets = self.targets.iter().map(|target| &target.signal);
        let bands = self.bands.iter().map(|bands| &bands.signal);
        let queues =
            self.queues.iter().flat_map(|queue| [Some(&queue.backlog), queue.arrivals.as_ref()]);
        let bursts = self.bursts.iter().flat_map(|burst| [&burst.stable, &burst.panic]);
        let forecasts = self.forecasts.iter().flat_map(|forecast| {
            [Some(&forecast.signal), forecast.skill.as_ref().map(|skill| &skill.signal)]
        });
        let busy = self.dependencies.iter().filter_map(|dependency| dependency.busy.as_ref());
        let busy = busy.flat_map(|busy| [Some(&busy.signal), busy.waiting.as_ref()]);
        let active = self.zero.iter().flat_map(|zero| &zero.activate).map(|each| &each.signal);
        let vertical = self.vertical.iter().map(|vertical| &vertical.signal);
        let throughput = self.scalability.iter().map(|each| &each.throughput);
        targets
            .chain(bands)
            .chain(bursts)
            .chain(active)
            .chain(vertical)
            .chain(throughput)
            .chain(self.fleet.signals())
            .chain(queues.chain(forecasts).chain(busy).flatten())
            .map(String::as_str)
    }
}
