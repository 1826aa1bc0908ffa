// pgvector-go with pgx, which sends and takes the types as binary, COPY too. CORPUS names the file of rows,
// searches and exact distances (../python/corpus.py); PGHOST, PGPORT and PGUSER name the server.
package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/pgvector/pgvector-go"
	pgxvector "github.com/pgvector/pgvector-go/pgx"
)

type row struct {
	ID       int       `json:"id"`
	Category int       `json:"category"`
	V        []float32 `json:"v"`
	H        []float32 `json:"h"`
	S        []float32 `json:"s"`
	B        string    `json:"b"`
}

type search struct {
	Column        string          `json:"column"`
	Operator      string          `json:"operator"`
	OperatorClass string          `json:"operator_class"`
	Query         json.RawMessage `json:"query"`
	Distances     []float64       `json:"distances"`
}

type corpus struct {
	Dims     int      `json:"dims"`
	K        int      `json:"k"`
	First    int      `json:"first"`
	Rows     []row    `json:"rows"`
	Searches []search `json:"searches"`
}

var ctx = context.Background()

func load(t *testing.T) (c corpus) {
	t.Helper()
	text, err := os.ReadFile(os.Getenv("CORPUS"))
	must(t, err)
	must(t, json.Unmarshal(text, &c))
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(ctx, fmt.Sprintf("dbname=%s sslmode=disable", database))
	must(t, err)
	return connection
}

func execute(t *testing.T, connection *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := connection.Exec(ctx, statement)
		must(t, err)
	}
}

// The client's own type for each column.
func dense(column string, x []float32) any {
	switch column {
	case "v":
		return pgvector.NewVector(x)
	case "h":
		return pgvector.NewHalfVector(x)
	}
	return pgvector.NewSparseVector(x)
}

func bits(text string) pgtype.Bits {
	packed := make([]byte, (len(text)+7)/8)
	for i, bit := range text {
		if bit == '1' {
			packed[i/8] |= 1 << (7 - i%8)
		}
	}
	return pgtype.Bits{Bytes: packed, Len: int32(len(text)), Valid: true}
}

func record(r row) []any {
	return []any{r.ID, r.Category, dense("v", r.V), dense("h", r.H), dense("s", r.S), bits(r.B)}
}

// k rows in order, at most one of them farther than the exact answer's last. A category below 0 is any.
func (c corpus) check(t *testing.T, ids []int, s search, category int) {
	t.Helper()
	if len(ids) != c.K {
		t.Fatalf("%d rows", len(ids))
	}
	var all []float64
	for _, r := range c.Rows {
		if category < 0 || r.Category == category {
			all = append(all, s.Distances[r.ID])
		}
	}
	slices.Sort(all)
	near := 0
	for i, id := range ids {
		if category >= 0 && c.Rows[id].Category != category {
			t.Fatalf("row %d is of another category", id)
		}
		if i > 0 && s.Distances[id] < s.Distances[ids[i-1]]-1e-4 {
			t.Fatalf("out of order: %v", ids)
		}
		if s.Distances[id] <= all[c.K-1]+1e-4 {
			near++
		}
	}
	if near < c.K-1 {
		t.Fatalf("%d of %d are nearest", near, c.K)
	}
}

func nearest(t *testing.T, connection *pgx.Conn, statement string, values ...any) []int {
	t.Helper()
	rows, err := connection.Query(ctx, statement, values...)
	must(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	must(t, err)
	return ids
}

func TestPgx(t *testing.T) {
	c := load(t)
	admin := connect(t, "postgres")
	execute(t, admin, "DROP DATABASE IF EXISTS client_go (FORCE)", "CREATE DATABASE client_go")
	must(t, admin.Close(ctx))
	connection := connect(t, "client_go")
	defer connection.Close(ctx)
	execute(t, connection, "CREATE EXTENSION IF NOT EXISTS vector")
	must(t, pgxvector.RegisterTypes(ctx, connection))
	execute(t, connection, fmt.Sprintf("CREATE TABLE items (id int PRIMARY KEY, category int, "+
		"v vector(%[1]d), h halfvec(%[1]d), s sparsevec(%[1]d), b bit(%[1]d))", c.Dims))

	t.Run("insert", func(t *testing.T) {
		for _, r := range c.Rows[:c.First] {
			_, err := connection.Exec(ctx, "INSERT INTO items VALUES ($1, $2, $3, $4, $5, $6)", record(r)...)
			must(t, err)
		}
	})
	t.Run("copy", func(t *testing.T) {
		rest := c.Rows[c.First:]
		count, err := connection.CopyFrom(ctx, pgx.Identifier{"items"}, []string{"id", "category", "v", "h", "s", "b"},
			pgx.CopyFromSlice(len(rest), func(i int) ([]any, error) { return record(rest[i]), nil }))
		must(t, err)
		if int(count) != len(rest) {
			t.Fatalf("%d rows copied", count)
		}
	})
	t.Run("values", func(t *testing.T) {
		var v pgvector.Vector
		var h pgvector.HalfVector
		var s pgvector.SparseVector
		var b pgtype.Bits
		must(t, connection.QueryRow(ctx, "SELECT v, h, s, b FROM items WHERE id = 21").Scan(&v, &h, &s, &b))
		r := c.Rows[21]
		if !slices.Equal(v.Slice(), r.V) || !slices.Equal(h.Slice(), r.H) || !slices.Equal(s.Slice(), r.S) ||
			!slices.Equal(b.Bytes, bits(r.B).Bytes) {
			t.Fatal("not what was stored")
		}
	})
	// 600 rows are sorted faster than searched: this is about the index.
	execute(t, connection, "SET enable_seqscan = off", "SET enable_sort = off", "SET hnsw.ef_search = 100")
	for _, s := range c.Searches {
		t.Run(s.OperatorClass, func(t *testing.T) {
			execute(t, connection, fmt.Sprintf("CREATE INDEX ON items USING hnsw (%s %s)", s.Column, s.OperatorClass))
			statement := fmt.Sprintf("SELECT id FROM items ORDER BY %s %s $1 LIMIT %d", s.Column, s.Operator, c.K)
			var query any
			if s.Column == "b" {
				var text string
				must(t, json.Unmarshal(s.Query, &text))
				query = bits(text)
			} else {
				var x []float32
				must(t, json.Unmarshal(s.Query, &x))
				query = dense(s.Column, x)
			}
			c.check(t, nearest(t, connection, statement, query), s, -1)
		})
	}
	t.Run("filter", func(t *testing.T) {
		var x []float32
		must(t, json.Unmarshal(c.Searches[0].Query, &x))
		execute(t, connection, "SET hnsw.iterative_scan = strict_order")
		statement := fmt.Sprintf("SELECT id FROM items WHERE category = $2 ORDER BY v <-> $1 LIMIT %d", c.K)
		c.check(t, nearest(t, connection, statement, pgvector.NewVector(x), 1), c.Searches[0], 1)
	})
}
