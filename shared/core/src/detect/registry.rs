//! The registry: one enum for each of kind, numbers, state and keys, made from one list of detectors.
//!
//! Dispatch is a `match` on plain enums, not a call through a pointer: a state stays half a cache line
//! in a slice of its device, and an idle one allocates nothing.

/// Makes the enums from `rules`, the detectors that rules configure, and `always`, the kinds that the
/// engine watches by itself. Each entry names the module and the types in it.
macro_rules! registry {
    (
        rules { $($module:ident: $($variant:ident),+;)+ }
        always { $($watched_module:ident: $watched:ident;)* }
    ) => {
        /// A kind of anomaly: the field `type` of a record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum AlertKind {
            $($(#[doc = concat!("Found by [`", stringify!($module), "`].")] $variant,)+)+
            $(#[doc = concat!("See [`", stringify!($watched_module), "`].")] $watched,)*
        }

        impl AlertKind {
            /// Every kind.
            pub const ALL: [Self; [
                $($(stringify!($variant),)+)+ $(stringify!($watched),)*
            ].len()] = [$($(Self::$variant,)+)+ $(Self::$watched,)*];

            /// The kinds that rules configure; the others are always watched.
            pub const RULES: [Self; [$($(stringify!($variant),)+)+].len()] =
                [$($(Self::$variant,)+)+];

            /// Returns the words for this kind.
            pub fn info(self) -> &'static KindInfo {
                match self {
                    $($(Self::$variant => &<$module::$variant as AnomalyKind>::INFO,)+)+
                    $(Self::$watched => &<$watched_module::$watched as AnomalyKind>::INFO,)*
                }
            }

            /// Describes the keys that only rules of this kind have; empty for kinds without rules.
            pub fn keys(self) -> Vec<KeyInfo> {
                match self {
                    $($(Self::$variant => {
                        <<$module::$variant as Detector>::Keys as Keys>::describe()
                    })+)+
                    $(Self::$watched => Vec::new(),)*
                }
            }

            /// Returns the names of the keys that only rules of this kind have.
            pub fn key_names(self) -> &'static [&'static str] {
                match self {
                    $($(Self::$variant => <<$module::$variant as Detector>::Keys as Keys>::NAMES,)+)+
                    $(Self::$watched => &[],)*
                }
            }
        }

        /// The kind of a record, with what the kind adds to it.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Detail {
            $($(
                #[doc = concat!("Found by [`", stringify!($module), "`].")]
                $variant(Option<<$module::$variant as AnomalyKind>::Payload>),
            )+)+
            $(
                #[doc = concat!("See [`", stringify!($watched_module), "`].")]
                $watched(Option<<$watched_module::$watched as AnomalyKind>::Payload>),
            )*
        }

        impl Detail {
            /// Creates the detail of `kind` with its payload from `extras`, if that is complete.
            pub fn new(kind: AlertKind, extras: Extras) -> Self {
                match kind {
                    $($(AlertKind::$variant => Self::$variant(Payload::from_extras(extras)),)+)+
                    $(AlertKind::$watched => Self::$watched(Payload::from_extras(extras)),)*
                }
            }

            /// Returns the kind.
            pub fn kind(&self) -> AlertKind {
                match self {
                    $($(Self::$variant(_) => AlertKind::$variant,)+)+
                    $(Self::$watched(_) => AlertKind::$watched,)*
                }
            }

            /// Returns the payload as fields.
            pub fn extras(&self) -> Extras {
                match self {
                    $($(Self::$variant(payload) => payload.as_ref().map(Payload::extras),)+)+
                    $(Self::$watched(payload) => payload.as_ref().map(Payload::extras),)*
                }
                .unwrap_or_default()
            }

            /// Returns the words that follow the temperature in the line of a firing alert.
            pub fn phrase(&self, facts: &AlertFacts) -> Phrase {
                match self {
                    $($(Self::$variant(payload) => {
                        <$module::$variant as AnomalyKind>::phrase(payload.as_ref(), facts)
                    })+)+
                    $(Self::$watched(payload) => {
                        <$watched_module::$watched as AnomalyKind>::phrase(payload.as_ref(), facts)
                    })*
                }
            }

            /// Returns the words that stand in for the temperature of a record without one.
            pub fn without_temperature(&self, facts: &AlertFacts) -> String {
                match self {
                    $($(Self::$variant(payload) => {
                        let payload = payload.as_ref();
                        <$module::$variant as AnomalyKind>::without_temperature(payload, facts)
                    })+)+
                    $(Self::$watched(payload) => {
                        let payload = payload.as_ref();
                        <$watched_module::$watched as AnomalyKind>::without_temperature(payload, facts)
                    })*
                }
            }
        }

        /// A detector with its parameters for one device.
        #[derive(Clone, Debug, PartialEq)]
        pub enum DetectorSpec {
            $($(
                #[doc = concat!("Of [`", stringify!($module), "`].")]
                $variant(<$module::$variant as Detector>::Spec),
            )+)+
        }

        impl DetectorSpec {
            /// Returns the kind that it finds.
            pub fn kind(&self) -> AlertKind {
                match self {
                    $($(Self::$variant(_) => AlertKind::$variant,)+)+
                }
            }

            /// Returns a hash of all parameters of the detector.
            pub fn fingerprint(&self) -> u64 {
                let mut bytes = SpecFingerprint::of_kind(self.kind().name());
                match self {
                    $($(Self::$variant(spec) => spec.fingerprint(&mut bytes),)+)+
                }
                bytes.finish()
            }

            /// Returns the version of the JSON of its states.
            pub fn state_version(&self) -> u32 {
                match self {
                    $($(Self::$variant(_) => {
                        <<$module::$variant as Detector>::Spec as Spec>::STATE_VERSION
                    })+)+
                }
            }

            /// Returns the way in which it compares a device with its rack.
            pub fn compares(&self) -> Compares {
                match self {
                    $($(Self::$variant(_) => {
                        <<$module::$variant as Detector>::Spec as Spec>::COMPARES
                    })+)+
                }
            }

            /// Returns whether its state knows the rate of change.
            pub fn knows_rate(&self) -> bool {
                match self {
                    $($(Self::$variant(_) => {
                        <<$module::$variant as Detector>::Spec as Spec>::KNOWS_RATE
                    })+)+
                }
            }

            /// Returns whether it also evaluates failed readings.
            pub fn sees_faults(&self) -> bool {
                match self {
                    $($(Self::$variant(_) => {
                        <<$module::$variant as Detector>::Spec as Spec>::SEES_FAULTS
                    })+)+
                }
            }

            /// Returns the threshold of `severity`, in the unit of the kind; `None` where it is off.
            /// `pending_for` is how long a finding must last before it fires.
            pub fn threshold(&self, severity: Severity, pending_for: Duration) -> Option<f64> {
                match self {
                    $($(Self::$variant(spec) => spec.threshold(severity, pending_for),)+)+
                }
            }

            /// Returns the window of `severity`, for detectors that look at changes.
            pub fn window(&self, severity: Severity) -> Option<Duration> {
                match self {
                    $($(Self::$variant(spec) => spec.window(severity),)+)+
                }
            }

            /// Sets the critical limit of the device.
            pub(crate) fn set_critical_limit(&mut self, limit: Option<Celsius>) {
                match self {
                    $($(Self::$variant(spec) => spec.set_critical_limit(limit),)+)+
                }
            }
        }

        /// Another device of the rack, before it is known whether it has the same detector.
        #[derive(Clone, Copy, Debug)]
        pub struct RackPeer<'a> {
            /// The detector with its parameters.
            pub spec: &'a DetectorSpec,
            /// The state of the detector.
            pub state: &'a DetectorState,
            /// The role of its sensor.
            pub role: Role,
            /// Its newest temperature.
            pub value: Celsius,
        }

        /// The state of one detector on one device. Its JSON does not name the kind: the rule
        /// is at hand when it is read back.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum DetectorState {
            $($(
                #[doc = concat!("Of [`", stringify!($module), "`].")]
                $variant(<<$module::$variant as Detector>::Spec as Spec>::State),
            )+)+
        }

        impl DetectorState {
            /// Creates the state of a detector before its first reading.
            pub fn new(spec: &DetectorSpec) -> Self {
                match spec {
                    $($(DetectorSpec::$variant(_) => Self::$variant(Default::default()),)+)+
                }
            }

            /// Reads the state of `spec` back from its JSON.
            pub fn load(spec: &DetectorSpec, json: Value) -> Result<Self, serde_json::Error> {
                match spec {
                    $($(DetectorSpec::$variant(_) => {
                        serde_json::from_value(json).map(Self::$variant)
                    })+)+
                }
            }

            /// Evaluates the next reading, which must be newer than the last.
            pub fn observe(&mut self, spec: &DetectorSpec, now: &Observation) -> Decision {
                match (self, spec) {
                    $($((Self::$variant(state), DetectorSpec::$variant(spec)) => {
                        spec.observe(state, now)
                    })+)+
                    // State is made from its detector, so the two agree; if they did not, start cold.
                    (state, spec) => {
                        *state = Self::new(spec);
                        Decision::Decided(None)
                    }
                }
            }

            /// Evaluates the reading with the other devices of the rack. Peers with another detector are left
            /// out.
            pub fn observe_rack(
                &mut self,
                spec: &DetectorSpec,
                now: &Observation,
                peers: &[RackPeer<'_>],
            ) -> Option<Finding> {
                match (self, spec) {
                    $($((Self::$variant(state), DetectorSpec::$variant(spec)) => {
                        let same = peers.iter().filter_map(|peer| match (peer.spec, peer.state) {
                            (DetectorSpec::$variant(spec), Self::$variant(state)) => Some(Peer {
                                spec,
                                state,
                                role: peer.role,
                                value: peer.value,
                            }),
                            _ => None,
                        });
                        spec.observe_rack(state, now, &same.collect::<Vec<_>>())
                    })+)+
                    _ => None,
                }
            }

            /// Evaluates a failed reading, for detectors that see faults.
            pub fn observe_fault(&self, spec: &DetectorSpec) -> Option<Finding> {
                match (self, spec) {
                    $($((Self::$variant(state), DetectorSpec::$variant(spec)) => {
                        spec.observe_fault(state)
                    })+)+
                    _ => None,
                }
            }

            /// Returns the rate up to this reading in kelvin per minute, for detectors that know it.
            pub fn rate(&self, spec: &DetectorSpec, at: Timestamp, value: Celsius) -> Option<f64> {
                match (self, spec) {
                    $($((Self::$variant(state), DetectorSpec::$variant(spec)) => {
                        spec.rate(state, at, value)
                    })+)+
                    _ => None,
                }
            }
        }

        /// The checked keys of one rule, each set or not.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum RuleSettings {
            $($($variant(<$module::$variant as Detector>::Keys),)+)+
        }

        impl RuleSettings {
            /// Creates the settings of a rule without keys, or `None` for kinds without rules.
            pub(crate) fn new(kind: AlertKind) -> Option<Self> {
                match kind {
                    $($(AlertKind::$variant => Some(Self::$variant(Default::default())),)+)+
                    $(AlertKind::$watched => None,)*
                }
            }

            /// Checks and sets a key; `None` where this kind has no such key.
            pub(crate) fn set(&mut self, key: &str, value: &RawValue) -> Option<Result<(), String>> {
                match self {
                    $($(Self::$variant(keys) => keys.set(key, value),)+)+
                }
            }

            /// Returns the first level that lies on the wrong side of a milder one.
            pub(crate) fn misplaced_level(&self) -> Option<(Severity, f64)> {
                match self {
                    $($(Self::$variant(keys) => {
                        let lower = <$module::$variant as Detector>::WORSE_IS_LOWER;
                        first_misplaced(keys.ranks(), lower)
                    })+)+
                }
            }

            /// Takes over every key that `over` sets.
            pub(crate) fn lay_over(&mut self, over: &Self) {
                match (self, over) {
                    $($((Self::$variant(keys), Self::$variant(over)) => keys.lay_over(over),)+)+
                    // Rules of one name are of one kind.
                    _ => {}
                }
            }

            /// Returns the detector for `device` and how long its findings must last, or `None` where
            /// the rule does not apply to it. `pending_for` is the rule's `for`.
            pub(crate) fn plan(
                &self,
                pending_for: Option<Duration>,
                device: &DeviceTraits<'_>,
            ) -> Option<(DetectorSpec, Duration)> {
                match self {
                    $($(Self::$variant(keys) => {
                        let spec = <$module::$variant as Detector>::spec(keys, pending_for, device)?;
                        let pending_for =
                            <$module::$variant as Detector>::pending_for(keys, pending_for, device);
                        Some((DetectorSpec::$variant(spec), pending_for))
                    })+)+
                }
            }
        }
    };
}
pub(super) use registry;
