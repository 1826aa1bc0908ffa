-- What the extension's script declares, checked as PostgreSQL checks its own catalogue.
CREATE TEMP VIEW members AS
SELECT classid, objid FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ann');
CREATE TEMP VIEW member_functions AS
SELECT p.* FROM pg_proc p JOIN members ON classid = 'pg_proc'::regclass AND objid = p.oid;
CREATE TEMP VIEW member_operators AS
SELECT o.* FROM pg_operator o JOIN members ON classid = 'pg_operator'::regclass AND objid = o.oid;

-- every object has a comment (array types and shells aside)
SELECT pg_describe_object(classid, objid, 0) FROM members
WHERE obj_description(objid, classid::regclass::name) IS NULL
  AND NOT (classid = 'pg_type'::regclass AND objid IN (SELECT typarray FROM pg_type))
ORDER BY 1;
-- every function of vector is immutable, strict and parallel safe (but the one that is as random() is); examples of one kind may be missing
SELECT oid::regprocedure FROM member_functions
WHERE 'vector'::regtype = ANY (proargtypes::oid[] || prorettype) AND prokind = 'f'
  AND (provolatile <> 'i' OR proisstrict = (proname LIKE 'recommend\_%') OR proparallel <> 's') ORDER BY 1;
SELECT oid::regprocedure, proparallel FROM member_functions WHERE prokind = 'a' AND 'vector'::regtype = ANY (proargtypes::oid[]) ORDER BY 1;
-- every C function of the script is named ann_*
SELECT oid::regprocedure, prosrc FROM member_functions
WHERE prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') AND prosrc NOT LIKE 'ann\_%' ORDER BY 1;
-- operators: what commutes and negates, and their estimators
SELECT o.oid::regoperator, oprcode, NULLIF(oprcom, 0)::regoperator AS commutator, NULLIF(oprnegate, 0)::regoperator AS negator,
  oprcanhash AS hash, oprcanmerge AS merge, oprrest, oprjoin
FROM member_operators o WHERE oprleft = 'vector'::regtype ORDER BY oprname COLLATE "C";
SELECT o.oid::regoperator FROM member_operators o JOIN pg_operator c ON c.oid = o.oprcom
WHERE c.oprcom <> o.oid OR c.oprleft <> o.oprright OR c.oprright <> o.oprleft;
SELECT o.oid::regoperator FROM member_operators o JOIN pg_operator n ON n.oid = o.oprnegate WHERE n.oprnegate <> o.oid;
-- commutators and negators are what they are called
SELECT count(*) FROM generate_series(0, 17) i, generate_series(0, 17) j,
  LATERAL (SELECT (ARRAY[i % 3, i / 3 % 3])[1:1 + i / 9 % 2]::vector AS a, (ARRAY[j % 3, j / 3 % 3])[1:1 + j / 9 % 2]::vector AS b) t
WHERE (a < b) <> (b > a) OR (a <= b) <> (b >= a) OR (a = b) <> (b = a) OR (a < b) = (a >= b) OR (a <= b) = (a > b) OR (a = b) = (a <> b);
SELECT opcname, amname, opcdefault, opckeytype = 0 AS own_key FROM pg_opclass JOIN pg_am ON pg_am.oid = opcmethod
WHERE opcintype = 'vector'::regtype AND amname IN ('btree', 'hash') ORDER BY 1, 2;
SELECT typname, typlen, typbyval, typalign, typstorage, typcategory, typispreferred FROM pg_type WHERE typname = 'vector';
