-- What pgvector 0.8's catalog has, and whether it is here: the same signatures, results, volatility, strictness
-- and parallel safety (u: unsafe, s: safe), commutators and negators, contexts of casts (i, a: implicit, assignment),
-- operator classes and which are defaults, storage of types. Left out: its handlers' and index support functions' names,
-- which nothing refers to, and the estimators of <> (there they are those of =).
CREATE TEMP TABLE expected AS
SELECT split_part(row, ' ', 1) AS kind, row FROM regexp_split_to_table($$
am hnsw
am ivfflat
cast double precision[] -> halfvec a
cast double precision[] -> sparsevec a
cast double precision[] -> vector a
cast halfvec -> halfvec i
cast halfvec -> real[] a
cast halfvec -> sparsevec i
cast halfvec -> vector a
cast integer[] -> halfvec a
cast integer[] -> sparsevec a
cast integer[] -> vector a
cast numeric[] -> halfvec a
cast numeric[] -> sparsevec a
cast numeric[] -> vector a
cast real[] -> halfvec a
cast real[] -> sparsevec a
cast real[] -> vector a
cast sparsevec -> halfvec a
cast sparsevec -> sparsevec i
cast sparsevec -> vector a
cast vector -> halfvec i
cast vector -> real[] i
cast vector -> sparsevec i
cast vector -> vector i
function array_to_halfvec(double precision[],integer,boolean) -> halfvec i strict s f
function array_to_halfvec(integer[],integer,boolean) -> halfvec i strict s f
function array_to_halfvec(numeric[],integer,boolean) -> halfvec i strict s f
function array_to_halfvec(real[],integer,boolean) -> halfvec i strict s f
function array_to_sparsevec(double precision[],integer,boolean) -> sparsevec i strict s f
function array_to_sparsevec(integer[],integer,boolean) -> sparsevec i strict s f
function array_to_sparsevec(numeric[],integer,boolean) -> sparsevec i strict s f
function array_to_sparsevec(real[],integer,boolean) -> sparsevec i strict s f
function array_to_vector(double precision[],integer,boolean) -> vector i strict s f
function array_to_vector(integer[],integer,boolean) -> vector i strict s f
function array_to_vector(numeric[],integer,boolean) -> vector i strict s f
function array_to_vector(real[],integer,boolean) -> vector i strict s f
function avg(halfvec) -> halfvec i called s a
function avg(vector) -> vector i called s a
function binary_quantize(halfvec) -> bit i strict s f
function binary_quantize(vector) -> bit i strict s f
function cosine_distance(halfvec,halfvec) -> double precision i strict s f
function cosine_distance(sparsevec,sparsevec) -> double precision i strict s f
function cosine_distance(vector,vector) -> double precision i strict s f
function halfvec(halfvec,integer,boolean) -> halfvec i strict s f
function halfvec_accum(double precision[],halfvec) -> double precision[] i strict s f
function halfvec_add(halfvec,halfvec) -> halfvec i strict s f
function halfvec_avg(double precision[]) -> halfvec i strict s f
function halfvec_cmp(halfvec,halfvec) -> integer i strict s f
function halfvec_combine(double precision[],double precision[]) -> double precision[] i strict s f
function halfvec_concat(halfvec,halfvec) -> halfvec i strict s f
function halfvec_eq(halfvec,halfvec) -> boolean i strict s f
function halfvec_ge(halfvec,halfvec) -> boolean i strict s f
function halfvec_gt(halfvec,halfvec) -> boolean i strict s f
function halfvec_in(cstring,oid,integer) -> halfvec i strict s f
function halfvec_l2_squared_distance(halfvec,halfvec) -> double precision i strict s f
function halfvec_le(halfvec,halfvec) -> boolean i strict s f
function halfvec_lt(halfvec,halfvec) -> boolean i strict s f
function halfvec_mul(halfvec,halfvec) -> halfvec i strict s f
function halfvec_ne(halfvec,halfvec) -> boolean i strict s f
function halfvec_negative_inner_product(halfvec,halfvec) -> double precision i strict s f
function halfvec_out(halfvec) -> cstring i strict s f
function halfvec_recv(internal,oid,integer) -> halfvec i strict s f
function halfvec_send(halfvec) -> bytea i strict s f
function halfvec_spherical_distance(halfvec,halfvec) -> double precision i strict s f
function halfvec_sub(halfvec,halfvec) -> halfvec i strict s f
function halfvec_to_float4(halfvec,integer,boolean) -> real[] i strict s f
function halfvec_to_sparsevec(halfvec,integer,boolean) -> sparsevec i strict s f
function halfvec_to_vector(halfvec,integer,boolean) -> vector i strict s f
function halfvec_typmod_in(cstring[]) -> integer i strict s f
function hamming_distance(bit,bit) -> double precision i strict s f
function inner_product(halfvec,halfvec) -> double precision i strict s f
function inner_product(sparsevec,sparsevec) -> double precision i strict s f
function inner_product(vector,vector) -> double precision i strict s f
function jaccard_distance(bit,bit) -> double precision i strict s f
function l1_distance(halfvec,halfvec) -> double precision i strict s f
function l1_distance(sparsevec,sparsevec) -> double precision i strict s f
function l1_distance(vector,vector) -> double precision i strict s f
function l2_distance(halfvec,halfvec) -> double precision i strict s f
function l2_distance(sparsevec,sparsevec) -> double precision i strict s f
function l2_distance(vector,vector) -> double precision i strict s f
function l2_norm(halfvec) -> double precision i strict s f
function l2_norm(sparsevec) -> double precision i strict s f
function l2_normalize(halfvec) -> halfvec i strict s f
function l2_normalize(sparsevec) -> sparsevec i strict s f
function l2_normalize(vector) -> vector i strict s f
function sparsevec(sparsevec,integer,boolean) -> sparsevec i strict s f
function sparsevec_cmp(sparsevec,sparsevec) -> integer i strict s f
function sparsevec_eq(sparsevec,sparsevec) -> boolean i strict s f
function sparsevec_ge(sparsevec,sparsevec) -> boolean i strict s f
function sparsevec_gt(sparsevec,sparsevec) -> boolean i strict s f
function sparsevec_in(cstring,oid,integer) -> sparsevec i strict s f
function sparsevec_l2_squared_distance(sparsevec,sparsevec) -> double precision i strict s f
function sparsevec_le(sparsevec,sparsevec) -> boolean i strict s f
function sparsevec_lt(sparsevec,sparsevec) -> boolean i strict s f
function sparsevec_ne(sparsevec,sparsevec) -> boolean i strict s f
function sparsevec_negative_inner_product(sparsevec,sparsevec) -> double precision i strict s f
function sparsevec_out(sparsevec) -> cstring i strict s f
function sparsevec_recv(internal,oid,integer) -> sparsevec i strict s f
function sparsevec_send(sparsevec) -> bytea i strict s f
function sparsevec_to_halfvec(sparsevec,integer,boolean) -> halfvec i strict s f
function sparsevec_to_vector(sparsevec,integer,boolean) -> vector i strict s f
function sparsevec_typmod_in(cstring[]) -> integer i strict s f
function subvector(halfvec,integer,integer) -> halfvec i strict s f
function subvector(vector,integer,integer) -> vector i strict s f
function sum(halfvec) -> halfvec i called s a
function sum(vector) -> vector i called s a
function vector(vector,integer,boolean) -> vector i strict s f
function vector_accum(double precision[],vector) -> double precision[] i strict s f
function vector_add(vector,vector) -> vector i strict s f
function vector_avg(double precision[]) -> vector i strict s f
function vector_cmp(vector,vector) -> integer i strict s f
function vector_combine(double precision[],double precision[]) -> double precision[] i strict s f
function vector_concat(vector,vector) -> vector i strict s f
function vector_dims(halfvec) -> integer i strict s f
function vector_dims(vector) -> integer i strict s f
function vector_eq(vector,vector) -> boolean i strict s f
function vector_ge(vector,vector) -> boolean i strict s f
function vector_gt(vector,vector) -> boolean i strict s f
function vector_in(cstring,oid,integer) -> vector i strict s f
function vector_l2_squared_distance(vector,vector) -> double precision i strict s f
function vector_le(vector,vector) -> boolean i strict s f
function vector_lt(vector,vector) -> boolean i strict s f
function vector_mul(vector,vector) -> vector i strict s f
function vector_ne(vector,vector) -> boolean i strict s f
function vector_negative_inner_product(vector,vector) -> double precision i strict s f
function vector_norm(vector) -> double precision i strict s f
function vector_out(vector) -> cstring i strict s f
function vector_recv(internal,oid,integer) -> vector i strict s f
function vector_send(vector) -> bytea i strict s f
function vector_spherical_distance(vector,vector) -> double precision i strict s f
function vector_sub(vector,vector) -> vector i strict s f
function vector_to_float4(vector,integer,boolean) -> real[] i strict s f
function vector_to_halfvec(vector,integer,boolean) -> halfvec i strict s f
function vector_to_sparsevec(vector,integer,boolean) -> sparsevec i strict s f
function vector_typmod_in(cstring[]) -> integer i strict s f
opclass btree halfvec_ops halfvec t
opclass btree sparsevec_ops sparsevec t
opclass btree vector_ops vector t
opclass hnsw bit_hamming_ops bit f
opclass hnsw bit_jaccard_ops bit f
opclass hnsw halfvec_cosine_ops halfvec f
opclass hnsw halfvec_ip_ops halfvec f
opclass hnsw halfvec_l1_ops halfvec f
opclass hnsw halfvec_l2_ops halfvec f
opclass hnsw sparsevec_cosine_ops sparsevec f
opclass hnsw sparsevec_ip_ops sparsevec f
opclass hnsw sparsevec_l1_ops sparsevec f
opclass hnsw sparsevec_l2_ops sparsevec f
opclass hnsw vector_cosine_ops vector f
opclass hnsw vector_ip_ops vector f
opclass hnsw vector_l1_ops vector f
opclass hnsw vector_l2_ops vector f
opclass ivfflat bit_hamming_ops bit f
opclass ivfflat halfvec_cosine_ops halfvec f
opclass ivfflat halfvec_ip_ops halfvec f
opclass ivfflat halfvec_l2_ops halfvec f
opclass ivfflat vector_cosine_ops vector f
opclass ivfflat vector_ip_ops vector f
opclass ivfflat vector_l2_ops vector t
operator *(halfvec,halfvec) -> halfvec *(halfvec,halfvec) 0
operator *(vector,vector) -> vector *(vector,vector) 0
operator +(halfvec,halfvec) -> halfvec +(halfvec,halfvec) 0
operator +(vector,vector) -> vector +(vector,vector) 0
operator -(halfvec,halfvec) -> halfvec 0 0
operator -(vector,vector) -> vector 0 0
operator <#>(halfvec,halfvec) -> double precision <#>(halfvec,halfvec) 0
operator <#>(sparsevec,sparsevec) -> double precision <#>(sparsevec,sparsevec) 0
operator <#>(vector,vector) -> double precision <#>(vector,vector) 0
operator <%>(bit,bit) -> double precision <%>(bit,bit) 0
operator <(halfvec,halfvec) -> boolean >(halfvec,halfvec) >=(halfvec,halfvec)
operator <(sparsevec,sparsevec) -> boolean >(sparsevec,sparsevec) >=(sparsevec,sparsevec)
operator <(vector,vector) -> boolean >(vector,vector) >=(vector,vector)
operator <+>(halfvec,halfvec) -> double precision <+>(halfvec,halfvec) 0
operator <+>(sparsevec,sparsevec) -> double precision <+>(sparsevec,sparsevec) 0
operator <+>(vector,vector) -> double precision <+>(vector,vector) 0
operator <->(halfvec,halfvec) -> double precision <->(halfvec,halfvec) 0
operator <->(sparsevec,sparsevec) -> double precision <->(sparsevec,sparsevec) 0
operator <->(vector,vector) -> double precision <->(vector,vector) 0
operator <=(halfvec,halfvec) -> boolean >=(halfvec,halfvec) >(halfvec,halfvec)
operator <=(sparsevec,sparsevec) -> boolean >=(sparsevec,sparsevec) >(sparsevec,sparsevec)
operator <=(vector,vector) -> boolean >=(vector,vector) >(vector,vector)
operator <=>(halfvec,halfvec) -> double precision <=>(halfvec,halfvec) 0
operator <=>(sparsevec,sparsevec) -> double precision <=>(sparsevec,sparsevec) 0
operator <=>(vector,vector) -> double precision <=>(vector,vector) 0
operator <>(halfvec,halfvec) -> boolean <>(halfvec,halfvec) =(halfvec,halfvec)
operator <>(sparsevec,sparsevec) -> boolean <>(sparsevec,sparsevec) =(sparsevec,sparsevec)
operator <>(vector,vector) -> boolean <>(vector,vector) =(vector,vector)
operator <~>(bit,bit) -> double precision <~>(bit,bit) 0
operator =(halfvec,halfvec) -> boolean =(halfvec,halfvec) <>(halfvec,halfvec)
operator =(sparsevec,sparsevec) -> boolean =(sparsevec,sparsevec) <>(sparsevec,sparsevec)
operator =(vector,vector) -> boolean =(vector,vector) <>(vector,vector)
operator >(halfvec,halfvec) -> boolean <(halfvec,halfvec) <=(halfvec,halfvec)
operator >(sparsevec,sparsevec) -> boolean <(sparsevec,sparsevec) <=(sparsevec,sparsevec)
operator >(vector,vector) -> boolean <(vector,vector) <=(vector,vector)
operator >=(halfvec,halfvec) -> boolean <=(halfvec,halfvec) <(halfvec,halfvec)
operator >=(sparsevec,sparsevec) -> boolean <=(sparsevec,sparsevec) <(sparsevec,sparsevec)
operator >=(vector,vector) -> boolean <=(vector,vector) <(vector,vector)
operator ||(halfvec,halfvec) -> halfvec 0 0
operator ||(vector,vector) -> vector 0 0
type halfvec -1 i e U
type sparsevec -1 i e U
type vector -1 i e U
$$, '\n') AS row WHERE row <> '';

CREATE TEMP VIEW found AS
WITH members AS (
  SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
  WHERE e.extname = 'ann' AND d.deptype = 'e'
)
SELECT format('function %s -> %s %s %s %s %s', p.oid::regprocedure, format_type(p.prorettype, NULL), p.provolatile::text,
              CASE WHEN p.proisstrict THEN 'strict' ELSE 'called' END, p.proparallel::text, p.prokind::text) AS row
FROM pg_proc AS p JOIN members AS m ON m.objid = p.oid AND m.classid = 'pg_proc'::regclass
UNION ALL
SELECT format('operator %s -> %s %s %s', o.oid::regoperator, o.oprresult::regtype, o.oprcom::regoperator, o.oprnegate::regoperator)
FROM pg_operator AS o JOIN members AS m ON m.objid = o.oid AND m.classid = 'pg_operator'::regclass
UNION ALL
SELECT format('cast %s -> %s %s', c.castsource::regtype, c.casttarget::regtype, c.castcontext::text)
FROM pg_cast AS c JOIN members AS m ON m.objid = c.oid AND m.classid = 'pg_cast'::regclass
UNION ALL
SELECT format('opclass %s %s %s %s', a.amname, c.opcname, c.opcintype::regtype, c.opcdefault)
FROM pg_opclass AS c JOIN pg_am AS a ON a.oid = c.opcmethod JOIN members AS m ON m.objid = c.oid AND m.classid = 'pg_opclass'::regclass
UNION ALL
SELECT format('type %s %s %s %s %s', t.oid::regtype, t.typlen, t.typalign::text, t.typstorage::text, t.typcategory::text)
FROM pg_type AS t JOIN members AS m ON m.objid = t.oid AND m.classid = 'pg_type'::regclass
UNION ALL
SELECT format('am %s', a.amname) FROM pg_am AS a JOIN members AS m ON m.objid = a.oid AND m.classid = 'pg_am'::regclass;

SELECT kind, count(*) FILTER (WHERE row IN (SELECT row FROM found)) AS here, count(*) AS of FROM expected GROUP BY kind ORDER BY kind;
SELECT row AS missing FROM expected WHERE row NOT IN (SELECT row FROM found) ORDER BY row COLLATE "C";

-- Its settings, their defaults, least values and words; the library has them, so it must be loaded.
SELECT '[1]'::vector;
SELECT name, setting, vartype, min_val, enumvals FROM pg_settings
WHERE name IN ('hnsw.ef_search', 'hnsw.iterative_scan', 'hnsw.max_scan_tuples', 'hnsw.scan_mem_multiplier',
               'ivfflat.probes', 'ivfflat.iterative_scan', 'ivfflat.max_probes') ORDER BY name COLLATE "C";
