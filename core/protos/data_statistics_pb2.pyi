from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Path(_message.Message):
    __slots__ = ("step",)
    STEP_FIELD_NUMBER: _ClassVar[int]
    step: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, step: _Optional[_Iterable[str]] = ...) -> None: ...

class CommonStatistics(_message.Message):
    __slots__ = ("num_non_missing", "num_missing")
    NUM_NON_MISSING_FIELD_NUMBER: _ClassVar[int]
    NUM_MISSING_FIELD_NUMBER: _ClassVar[int]
    num_non_missing: int
    num_missing: int
    def __init__(self, num_non_missing: _Optional[int] = ..., num_missing: _Optional[int] = ...) -> None: ...

class Histogram(_message.Message):
    __slots__ = ("buckets", "type")
    class HistogramType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STANDARD: _ClassVar[Histogram.HistogramType]
        QUANTILES: _ClassVar[Histogram.HistogramType]
    STANDARD: Histogram.HistogramType
    QUANTILES: Histogram.HistogramType
    class Bucket(_message.Message):
        __slots__ = ("low_value", "high_value", "sample_count")
        LOW_VALUE_FIELD_NUMBER: _ClassVar[int]
        HIGH_VALUE_FIELD_NUMBER: _ClassVar[int]
        SAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
        low_value: float
        high_value: float
        sample_count: float
        def __init__(self, low_value: _Optional[float] = ..., high_value: _Optional[float] = ..., sample_count: _Optional[float] = ...) -> None: ...
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    buckets: _containers.RepeatedCompositeFieldContainer[Histogram.Bucket]
    type: Histogram.HistogramType
    def __init__(self, buckets: _Optional[_Iterable[_Union[Histogram.Bucket, _Mapping]]] = ..., type: _Optional[_Union[Histogram.HistogramType, str]] = ...) -> None: ...

class NumericStatistics(_message.Message):
    __slots__ = ("common_stats", "mean", "std_dev", "num_zeros", "min", "median", "max", "histograms")
    COMMON_STATS_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_DEV_FIELD_NUMBER: _ClassVar[int]
    NUM_ZEROS_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAMS_FIELD_NUMBER: _ClassVar[int]
    common_stats: CommonStatistics
    mean: float
    std_dev: float
    num_zeros: int
    min: float
    median: float
    max: float
    histograms: _containers.RepeatedCompositeFieldContainer[Histogram]
    def __init__(self, common_stats: _Optional[_Union[CommonStatistics, _Mapping]] = ..., mean: _Optional[float] = ..., std_dev: _Optional[float] = ..., num_zeros: _Optional[int] = ..., min: _Optional[float] = ..., median: _Optional[float] = ..., max: _Optional[float] = ..., histograms: _Optional[_Iterable[_Union[Histogram, _Mapping]]] = ...) -> None: ...

class StringStatistics(_message.Message):
    __slots__ = ("common_stats", "unique", "top_values", "avg_length")
    class FreqAndValue(_message.Message):
        __slots__ = ("value", "frequency")
        VALUE_FIELD_NUMBER: _ClassVar[int]
        FREQUENCY_FIELD_NUMBER: _ClassVar[int]
        value: str
        frequency: float
        def __init__(self, value: _Optional[str] = ..., frequency: _Optional[float] = ...) -> None: ...
    COMMON_STATS_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_FIELD_NUMBER: _ClassVar[int]
    TOP_VALUES_FIELD_NUMBER: _ClassVar[int]
    AVG_LENGTH_FIELD_NUMBER: _ClassVar[int]
    common_stats: CommonStatistics
    unique: int
    top_values: _containers.RepeatedCompositeFieldContainer[StringStatistics.FreqAndValue]
    avg_length: float
    def __init__(self, common_stats: _Optional[_Union[CommonStatistics, _Mapping]] = ..., unique: _Optional[int] = ..., top_values: _Optional[_Iterable[_Union[StringStatistics.FreqAndValue, _Mapping]]] = ..., avg_length: _Optional[float] = ...) -> None: ...

class BytesStatistics(_message.Message):
    __slots__ = ("common_stats", "unique", "avg_num_bytes", "min_num_bytes", "max_num_bytes")
    COMMON_STATS_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_FIELD_NUMBER: _ClassVar[int]
    AVG_NUM_BYTES_FIELD_NUMBER: _ClassVar[int]
    MIN_NUM_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_NUM_BYTES_FIELD_NUMBER: _ClassVar[int]
    common_stats: CommonStatistics
    unique: int
    avg_num_bytes: float
    min_num_bytes: float
    max_num_bytes: float
    def __init__(self, common_stats: _Optional[_Union[CommonStatistics, _Mapping]] = ..., unique: _Optional[int] = ..., avg_num_bytes: _Optional[float] = ..., min_num_bytes: _Optional[float] = ..., max_num_bytes: _Optional[float] = ...) -> None: ...

class FeatureNameStatistics(_message.Message):
    __slots__ = ("name", "type", "num_stats", "string_stats", "bytes_stats", "path")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        INT: _ClassVar[FeatureNameStatistics.Type]
        FLOAT: _ClassVar[FeatureNameStatistics.Type]
        STRING: _ClassVar[FeatureNameStatistics.Type]
        BYTES: _ClassVar[FeatureNameStatistics.Type]
        STRUCT: _ClassVar[FeatureNameStatistics.Type]
    INT: FeatureNameStatistics.Type
    FLOAT: FeatureNameStatistics.Type
    STRING: FeatureNameStatistics.Type
    BYTES: FeatureNameStatistics.Type
    STRUCT: FeatureNameStatistics.Type
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NUM_STATS_FIELD_NUMBER: _ClassVar[int]
    STRING_STATS_FIELD_NUMBER: _ClassVar[int]
    BYTES_STATS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: FeatureNameStatistics.Type
    num_stats: NumericStatistics
    string_stats: StringStatistics
    bytes_stats: BytesStatistics
    path: Path
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[FeatureNameStatistics.Type, str]] = ..., num_stats: _Optional[_Union[NumericStatistics, _Mapping]] = ..., string_stats: _Optional[_Union[StringStatistics, _Mapping]] = ..., bytes_stats: _Optional[_Union[BytesStatistics, _Mapping]] = ..., path: _Optional[_Union[Path, _Mapping]] = ...) -> None: ...

class DatasetFeatureStatistics(_message.Message):
    __slots__ = ("name", "num_examples", "features")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUM_EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    num_examples: int
    features: _containers.RepeatedCompositeFieldContainer[FeatureNameStatistics]
    def __init__(self, name: _Optional[str] = ..., num_examples: _Optional[int] = ..., features: _Optional[_Iterable[_Union[FeatureNameStatistics, _Mapping]]] = ...) -> None: ...

class DatasetFeatureStatisticsList(_message.Message):
    __slots__ = ("datasets",)
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[DatasetFeatureStatistics]
    def __init__(self, datasets: _Optional[_Iterable[_Union[DatasetFeatureStatistics, _Mapping]]] = ...) -> None: ...

class AnomalyInfo(_message.Message):
    __slots__ = ("description", "severity", "short_description")
    class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[AnomalyInfo.Severity]
        WARNING: _ClassVar[AnomalyInfo.Severity]
        ERROR: _ClassVar[AnomalyInfo.Severity]
    UNKNOWN: AnomalyInfo.Severity
    WARNING: AnomalyInfo.Severity
    ERROR: AnomalyInfo.Severity
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SHORT_DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    description: str
    severity: AnomalyInfo.Severity
    short_description: str
    def __init__(self, description: _Optional[str] = ..., severity: _Optional[_Union[AnomalyInfo.Severity, str]] = ..., short_description: _Optional[str] = ...) -> None: ...

class Anomalies(_message.Message):
    __slots__ = ("anomaly_info", "dataset_anomaly_info")
    class AnomalyInfoEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: AnomalyInfo
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[AnomalyInfo, _Mapping]] = ...) -> None: ...
    ANOMALY_INFO_FIELD_NUMBER: _ClassVar[int]
    DATASET_ANOMALY_INFO_FIELD_NUMBER: _ClassVar[int]
    anomaly_info: _containers.MessageMap[str, AnomalyInfo]
    dataset_anomaly_info: AnomalyInfo
    def __init__(self, anomaly_info: _Optional[_Mapping[str, AnomalyInfo]] = ..., dataset_anomaly_info: _Optional[_Union[AnomalyInfo, _Mapping]] = ...) -> None: ...
