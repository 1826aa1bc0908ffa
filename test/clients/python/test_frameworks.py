"""LangChain's and LlamaIndex's stores, unchanged: they make the extension, their tables and their indexes themselves."""

import asyncio
import dataclasses

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_postgres import Column, PGEngine, PGVector, PGVectorStore
from langchain_postgres.v2.indexes import DistanceStrategy, HNSWIndex, HNSWQueryOptions, IVFFlatIndex, IVFFlatQueryOptions
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery
from llama_index.vector_stores.postgres import PGVectorStore as LlamaStore

import corpus

STRATEGIES = {
    "l2": DistanceStrategy.EUCLIDEAN,
    "ip": DistanceStrategy.INNER_PRODUCT,
    "cosine": DistanceStrategy.COSINE_DISTANCE,
}
QUERY = [float(x) for x in corpus.query("v")]


class Embedder(Embeddings):
    """The vector of "row N" and of "query"."""

    def embed_documents(self, texts):
        return [corpus.base("v")[int(text.split()[1])].tolist() for text in texts]

    def embed_query(self, text):
        return QUERY


def ids(documents):
    return [int(document.page_content.split()[1]) for document in documents]


class TestLangchain:
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, database):
        engine = PGEngine.from_connection_string(database.url("postgresql+asyncpg"))
        engine.init_vectorstore_table(
            table_name="documents", vector_size=corpus.DIMS, metadata_columns=[Column("category", "INTEGER")]
        )
        yield engine
        asyncio.run_coroutine_threadsafe(engine.close(), engine._loop).result()

    @staticmethod
    def store(engine, distance, **options):
        return PGVectorStore.create_sync(
            engine,
            Embedder(),
            table_name="documents",
            metadata_columns=["category"],
            distance_strategy=STRATEGIES[distance],
            k=corpus.K,
            **options,
        )

    def test_add(self, engine):
        rows = range(corpus.ROWS)
        self.store(engine, "l2").add_texts(
            [f"row {row}" for row in rows], metadatas=[{"category": corpus.category(row)} for row in rows]
        )

    @pytest.mark.parametrize("distance", STRATEGIES)
    @pytest.mark.parametrize(
        "index, options",
        [
            (HNSWIndex(m=16, ef_construction=64), HNSWQueryOptions(ef_search=100)),
            (IVFFlatIndex(lists=8), IVFFlatQueryOptions(probes=8)),
        ],
    )
    def test_index_and_search(self, engine, distance, index, options):
        store = self.store(engine, distance, index_query_options=options)
        name = f"documents_{distance}_{index.index_type}"
        store.apply_vector_index(dataclasses.replace(index, distance_strategy=STRATEGIES[distance]), name=name)
        assert store.is_valid_index(name)
        corpus.check(ids(store.similarity_search("query")), "v", distance)
        store.reindex(name)
        corpus.check(ids(store.similarity_search("query")), "v", distance)
        store.drop_vector_index(name)

    def test_filter(self, engine):
        store = self.store(engine, "cosine")
        store.apply_vector_index(HNSWIndex(name="documents_filtered"))
        corpus.check(ids(store.similarity_search("query", filter={"category": 7})), "v", "cosine", only=7)

    def test_scores(self, engine):
        found = self.store(engine, "l2").similarity_search_with_score("query")
        truth = corpus.distances("v", "l2")[ids([document for document, _ in found])]
        assert np.allclose([score for _, score in found], truth, atol=1e-4)

    def test_diverse(self, engine):
        found = self.store(engine, "cosine").max_marginal_relevance_search("query", k=5, fetch_k=20)
        assert len(set(ids(found))) == 5

    def test_delete(self, engine):
        store = self.store(engine, "l2")
        [key] = store.add_documents([Document(page_content="row 0", metadata={"category": 77})])
        assert len(store.similarity_search("query", filter={"category": 77})) == 1
        assert store.delete([key])
        assert store.similarity_search("query", filter={"category": 77}) == []


class TestLangchainCollections:
    """The store that langchain-postgres had first: collections in one table, conditions on jsonb."""

    def test_round_trip(self, database):
        store = PGVector(
            Embedder(),
            connection=database.url("postgresql+psycopg"),
            embedding_length=corpus.DIMS,
            collection_name="rows",
            use_jsonb=True,
        )
        rows = range(corpus.ROWS)
        store.add_texts([f"row {row}" for row in rows], [{"category": corpus.category(row)} for row in rows])
        corpus.check(ids(store.similarity_search("query", k=corpus.K)), "v", "cosine")
        database.run("CREATE INDEX ON langchain_pg_embedding USING hnsw (embedding vector_cosine_ops)")
        found = store.similarity_search("query", k=corpus.K, filter={"category": {"$eq": 4}})
        corpus.check(ids(found), "v", "cosine", only=4)
        store.delete_collection()


@pytest.mark.parametrize(
    "half, operator_class, distance",
    [(False, "vector_l2_ops", "l2"), (False, "vector_cosine_ops", "cosine"), (True, "halfvec_cosine_ops", "cosine")],
)
class TestLlamaindex:
    @pytest.fixture
    def store(self, database, half, operator_class, distance):
        store = LlamaStore.from_params(
            connection_string=database.url("postgresql+psycopg2"),
            async_connection_string=database.url("postgresql+asyncpg"),
            table_name=f"nodes_{operator_class}",
            embed_dim=corpus.DIMS,
            use_halfvec=half,
            hnsw_kwargs={
                "hnsw_m": 16,
                "hnsw_ef_construction": 64,
                "hnsw_ef_search": 100,
                "hnsw_dist_method": operator_class,
            },
        )
        yield store
        asyncio.run(store.close())

    def test_add(self, store, half, operator_class, distance):
        nodes = [
            TextNode(
                id_=str(row),
                text=f"row {row}",
                embedding=corpus.base("v")[row].tolist(),
                metadata={"category": corpus.category(row)},
            )
            for row in range(corpus.ROWS)
        ]
        assert len(store.add(nodes)) == corpus.ROWS

    def test_search(self, store, database, half, operator_class, distance):
        # It orders by cosine distance whatever index it makes.
        found = store.query(VectorStoreQuery(query_embedding=QUERY, similarity_top_k=corpus.K))
        corpus.check(found.ids, "v", "cosine")
        made = database.one("SELECT indexdef FROM pg_indexes WHERE indexdef LIKE %s", f"%hnsw%{operator_class}%")
        assert "ef_construction" in made

    def test_search_async(self, store, half, operator_class, distance):
        found = asyncio.run(store.aquery(VectorStoreQuery(query_embedding=QUERY, similarity_top_k=corpus.K)))
        corpus.check(found.ids, "v", "cosine")

    def test_filter(self, store, half, operator_class, distance):
        only = MetadataFilters(filters=[MetadataFilter(key="category", value=9, operator=FilterOperator.EQ)])
        found = store.query(VectorStoreQuery(query_embedding=QUERY, similarity_top_k=corpus.K, filters=only))
        corpus.check(found.ids, "v", "cosine", only=9)

    def test_delete(self, store, database, half, operator_class, distance):
        store.delete_nodes(["0", "1"])
        left = f"SELECT array_agg(node_id) FROM data_nodes_{operator_class} WHERE node_id IN ('0', '1', '2')"
        assert database.one(left) == ["2"]
